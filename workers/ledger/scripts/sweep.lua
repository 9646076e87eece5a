-- One look of the scheduler: wake parked runs, take back expired leases, find queued runs whose message was lost.
-- KEYS: due, leased, queued
-- ARGV: first part of a run's key, most runs per kind, ms after which a queued run without a worker counts as lost
-- Gives (kind, id, fence)... of the runs to send messages for.
local now, many, out = now_ms(), tonumber(ARGV[2]), {}
local prefix = prefix_of(ARGV[1], '')

local function requeue(kind, from, id, expected)
  local run = ARGV[1] .. id
  local found = redis.call('HMGET', run, 'state', 'fence')
  redis.call('ZREM', from, id)
  if found[1] ~= expected then return end
  redis.call('HSET', run, 'state', 'queued')
  redis.call('HDEL', run, 'wake', 'owner', 'lease')
  redis.call('ZADD', KEYS[3], now, id)
  if kind == 'expired' then tally(prefix, 'lease_losses') end
  out[#out + 1] = kind
  out[#out + 1] = id
  out[#out + 1] = found[2]
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], 0, now, 'LIMIT', 0, many)) do
  requeue('due', KEYS[1], id, 'parked')
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], 0, now, 'LIMIT', 0, many)) do
  requeue('expired', KEYS[2], id, 'running')
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], 0, now - tonumber(ARGV[3]), 'LIMIT', 0, many)) do
  local found = redis.call('HMGET', ARGV[1] .. id, 'state', 'fence')
  if found[1] == 'queued' then
    redis.call('ZADD', KEYS[3], now, id)
    tally(prefix, 'messages_resent')
    out[#out + 1] = 'lost'
    out[#out + 1] = id
    out[#out + 1] = found[2]
  else
    redis.call('ZREM', KEYS[3], id)
  end
end
return out
