-- Take a due scenario: its run is made and its next instant set, or nothing of it. Once for each due instant.
-- KEYS: run, bundles, queued, runs, scenario's runs, scenario, index of due scenarios
-- ARGV: id of the run, bytes that lie in its bundles and blobs already, scenario, due instant that was seen, next
--       instant or '', `keep` or the instant of a repetition or '', then fields and chunks as of create
-- Gives the instant at which the run was accepted, or a word that says why not: `moved` (another scheduler has taken
-- it, or it was switched off), `late` (its former run has not ended; it comes after it), `skipped` (sequential, and
-- incomplete executions are open).
local prefix, scenario = prefix_of(KEYS[1], ARGV[1]), ARGV[3]
local found = redis.call('HMGET', KEYS[6], 'active', 'scheduled', 'sequential')
if found[1] ~= '1' or tonumber(redis.call('ZSCORE', KEYS[7], scenario) or 0) ~= tonumber(ARGV[4]) then return 'moved' end
local state = redis.call('HGET', prefix .. ':run:' .. (found[2] or ''), 'state')
if state == 'queued' or state == 'running' or state == 'parked' then
  redis.call('HSET', KEYS[6], 'late', 1)
  plan_next(prefix, scenario)
  return 'late'
end
redis.call('HSET', KEYS[6], 'next', ARGV[5])
redis.call('HDEL', KEYS[6], 'deferred', 'not_before', 'opens')
if found[3] == '1' and redis.call('ZCARD', prefix .. ':scenario:' .. scenario .. ':incompletes') > 0 then
  if ARGV[6] ~= 'keep' then redis.call('HDEL', KEYS[6], 'again') end
  plan_next(prefix, scenario)
  return 'skipped'
end
if ARGV[6] ~= 'keep' then redis.call('HDEL', KEYS[6], 'again') end
redis.call('HSET', KEYS[6], 'scheduled', ARGV[1])
local now = create_run(ARGV[1], 7, tonumber(ARGV[2]))
plan_next(prefix, scenario)
return now
