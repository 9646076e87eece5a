-- Settle a due instant without a run of its own. Once for each due instant.
-- KEYS: scenario, index of due scenarios
-- ARGV: first part of all keys, scenario, due instant that was seen ('': any), word, then for
--       move: next instant or '', `keep` or '' (no repetition any more)
--       late: nothing; its former run has not ended
--       off, finish: the reason
-- Gives 1, or 0 when another scheduler was first or it was switched off.
local prefix, scenario, word = ARGV[1], ARGV[2], ARGV[4]
if redis.call('HGET', KEYS[1], 'active') ~= '1' then return 0 end
if ARGV[3] ~= '' and tonumber(redis.call('ZSCORE', KEYS[2], scenario) or 0) ~= tonumber(ARGV[3]) then return 0 end
if word == 'off' or word == 'finish' then
  switch_off(prefix, scenario, word == 'off' and 'stop_reason' or 'finished', ARGV[5])
  return 1
end
if word == 'late' then
  redis.call('HSET', KEYS[1], 'late', 1)
else
  redis.call('HSET', KEYS[1], 'next', ARGV[5])
  redis.call('HDEL', KEYS[1], 'deferred', 'not_before', 'opens')
  if ARGV[6] ~= 'keep' then redis.call('HDEL', KEYS[1], 'again', 'paused') end
end
plan_next(prefix, scenario)
return 1
