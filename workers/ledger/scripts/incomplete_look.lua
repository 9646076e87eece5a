-- What the scheduler has to do for incomplete executions: which are due, and which retries ended without saying so.
-- KEYS: due, running    ARGV: prefix, most records
-- Gives the ids of the records that are due, oldest first.
local now, many = now_ms(), tonumber(ARGV[2])
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, many - 1)) do
  local run = redis.call('HGET', ARGV[1] .. ':incomplete:' .. id, 'retry')
  local state = run and redis.call('HGET', ARGV[1] .. ':run:' .. run, 'state')
  -- Stopped while no worker had it, or poisoned: a person decides.
  if not state or state == 'cancelled' or state == 'error' then set_record(ARGV[1], id, 'unresolved') end
end
local due = redis.call('ZRANGEBYSCORE', KEYS[1], 0, now, 'LIMIT', 0, many)
table.sort(due, function(a, b)
  local left = redis.call('ZSCORE', ARGV[1] .. ':incompletes', a)
  local right = redis.call('ZSCORE', ARGV[1] .. ':incompletes', b)
  return tonumber(left or 0) < tonumber(right or 0)
end)
return due
