-- Take a little of what ended runs hold: those over their time go whole, oldest first; over the bytes go bundles of the
-- oldest first, then, when no run has any left, journals.
-- KEYS: ended, bytes of ended runs, runs, incomplete executions, ended runs without bundles, those without a journal too
-- ARGV: prefix, time to keep in ms, most bytes, most runs a step, time to keep resolved records in ms
-- Gives how many runs something was taken from.
local prefix, now, many, taken = ARGV[1], now_ms(), tonumber(ARGV[4]), 0

local function free(run, field)
  local size = tonumber(redis.call('HGET', run, field) or 0)
  redis.call('HSET', run, field, 0)
  if size ~= 0 then redis.call('DECRBY', KEYS[2], size) end
end

local function take_bundles(id)
  local run = prefix .. ':run:' .. id
  redis.call('UNLINK', run .. ':bundles', run .. ':blobs')
  free(run, 'bytes')
end

local function take_journal(id)
  local run = prefix .. ':run:' .. id
  redis.call('UNLINK', run .. ':journal')
  free(run, 'journal')
end

for _, from in ipairs({KEYS[1], KEYS[5], KEYS[6]}) do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', from, '-inf', now - tonumber(ARGV[2]), 'LIMIT', 0, many - taken)) do
    local run = prefix .. ':run:' .. id
    take_bundles(id)
    take_journal(id)
    local scenario = redis.call('HGET', run, 'scenario')
    if scenario then redis.call('ZREM', prefix .. ':scenario:' .. scenario .. ':runs', id) end
    redis.call('ZREM', KEYS[3], id)
    redis.call('ZREM', from, id)
    redis.call('DEL', run)
    taken = taken + 1
  end
end

local function over() return tonumber(redis.call('GET', KEYS[2]) or 0) > tonumber(ARGV[3]) end

while taken < many and over() do
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  if first[1] then
    take_bundles(first[1])
    redis.call('ZREM', KEYS[1], first[1])
    redis.call('ZADD', KEYS[5], first[2], first[1])
  else
    local bare = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
    if not bare[1] then break end
    take_journal(bare[1])
    redis.call('ZREM', KEYS[5], bare[1])
    redis.call('ZADD', KEYS[6], bare[2], bare[1])
  end
  taken = taken + 1
end

local old = now - tonumber(ARGV[5])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', old, 'LIMIT', 0, 1000)) do
  local key = prefix .. ':incomplete:' .. id
  if tonumber(redis.call('HGET', key, 'resolved') or now) <= old then
    redis.call('DEL', key)
    redis.call('ZREM', KEYS[4], id)
  end
end
return taken
