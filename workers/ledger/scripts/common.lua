-- Put in front of every script. Instants are UTC milliseconds on the server's clock.
local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- True when this worker still holds the run.
local function holds(run, fence)
  local found = redis.call('HMGET', run, 'state', 'fence')
  return found[1] == 'running' and found[2] == fence
end

-- Put fields ARGV[from], ARGV[from + 1] = bytes, ... up to `upto` into a hash; gives the bytes that it grew by.
local function put_fields(key, from, upto)
  local grown = 0
  for i = from, upto, 2 do
    grown = grown + #ARGV[i + 1] - redis.call('HSTRLEN', key, ARGV[i])
    redis.call('HSET', key, ARGV[i], ARGV[i + 1])
  end
  return grown
end

-- Delete one field of a hash; gives the bytes freed.
local function drop_field(key, field)
  local size = redis.call('HSTRLEN', key, field)
  redis.call('HDEL', key, field)
  return size
end
