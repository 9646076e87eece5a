-- Take a queued run: bump its fence and set the lease.
-- KEYS: run, bundles, queued, leased, due, ended, journal
-- ARGV: id, fence of the message, owner's token, lease in ms, most claims without a checkpoint, newest record version,
--       error of a poisoned run, newest cursor version
-- Gives: word, fence, and on 'ok' the fields below.
local found = redis.call('HMGET', KEYS[1], 'state', 'fence', 'owner', 'v', 'idle', 'mid', 'cursor_v')
local state, fence, idle = found[1], found[2], tonumber(found[5] or 0)
if not state then return {'gone'} end
if tonumber(found[4]) > tonumber(ARGV[6]) or tonumber(found[7] or 0) > tonumber(ARGV[8]) then return {'newer'} end
local now = now_ms()
if state == 'running' and found[3] == ARGV[3] then
  -- The answer to this very claim was lost on its way; it is given again.
elseif state ~= 'queued' or fence ~= ARGV[2] then
  return {'taken'}
elseif idle >= tonumber(ARGV[5]) then
  redis.call('HSET', KEYS[1], 'state', 'error', 'ended', now, 'error', ARGV[7])
  redis.call('HDEL', KEYS[1], 'owner', 'lease')
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZADD', KEYS[6], now, ARGV[1])
  redis.call('XADD', KEYS[7], '*', 's', 'error')
  tally(prefix_of(KEYS[1], ARGV[1]), 'runs_poisoned')
  run_unusable(KEYS[1], ARGV[1], cjson.decode(ARGV[7])['message'])
  run_ended(KEYS[1], ARGV[1], 'dead')
  return {'poisoned'}
elseif must_wait(KEYS[1], ARGV[1]) then
  -- Whoever makes room puts it back among the queued ones.
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZADD', prefix_of(KEYS[1], ARGV[1]) .. ':runs:in-line', now, ARGV[1])
  return {'waiting'}
else
  fence = string.format('%d', tonumber(fence) + 1)
  redis.call('HSET', KEYS[1], 'state', 'running', 'fence', fence, 'owner', ARGV[3], 'idle', idle + 1)
  redis.call('HINCRBY', KEYS[1], 'claims', 1)
  redis.call('HSETNX', KEYS[1], 'started', now)
  redis.call('HDEL', KEYS[1], 'wake')
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZREM', KEYS[5], ARGV[1])
  local prefix = prefix_of(KEYS[1], ARGV[1])
  redis.call('ZREM', prefix .. ':runs:waiting', ARGV[1])
  redis.call('ZREM', prefix .. ':runs:in-line', ARGV[1])
  -- Chunks that a former attempt wrote without reaching its checkpoint.
  local freed = 0
  for field in string.gmatch(found[6] or '', '%S+') do freed = freed + drop_field(KEYS[2], field) end
  if freed > 0 then redis.call('HINCRBY', KEYS[1], 'bytes', -freed) end
  redis.call('HDEL', KEYS[1], 'mid')
end
redis.call('HSET', KEYS[1], 'lease', now + tonumber(ARGV[4]))
redis.call('ZADD', KEYS[4], now + tonumber(ARGV[4]), ARGV[1])
local fields = redis.call('HMGET', KEYS[1], 'request', 'key', 'cursor', 'unsafe', 'bytes', 'seq', 'stop',
  'decided', 'created', 'hook', 'events', 'woken')
return {'ok', fence, unpack(fields)}
