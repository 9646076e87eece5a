-- Take a due scenario: its run is made and its next instant set, or nothing of it. Once for each due instant.
-- KEYS: run, bundles, queued, runs, scenario's runs, scenario, index of due scenarios
-- ARGV: id of the run, bytes that lie in its bundles and blobs already, scenario, due instant that was seen, next
--       instant or '', `keep` (a repetition that is planned for later stays) or '', webhook or '' whose waiting events
--       the run takes, most of them, then fields and chunks as of create
-- Gives the instant at which the run was accepted, or a word that says why not: `moved` (another scheduler has taken
-- it, or it was switched off), `late` (its former run has not ended; it comes after it), `skipped` (sequential, and
-- incomplete executions are open), `empty` (no event waits).
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
if ARGV[6] ~= 'keep' then redis.call('HDEL', KEYS[6], 'again') end
local answer
if found[3] == '1' and redis.call('ZCARD', prefix .. ':scenario:' .. scenario .. ':incompletes') > 0 then
  answer = 'skipped'
elseif ARGV[7] ~= '' and redis.call('EXISTS', prefix .. ':hook:' .. ARGV[7] .. ':waiting') == 0 then
  answer = 'empty'
else
  answer = create_run(ARGV[1], 9, tonumber(ARGV[2]))
  redis.call('HSET', KEYS[6], 'scheduled', ARGV[1])
  if ARGV[7] ~= '' then take_events(prefix, ARGV[1], ARGV[7], tonumber(ARGV[8])) end
end
plan_next(prefix, scenario)
return answer
