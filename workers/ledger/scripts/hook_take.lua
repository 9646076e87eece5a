-- Make a run out of events that wait for one, or a run that waits for the next event.
-- KEYS: run, bundles, queued, runs, scenario's runs
-- ARGV: id of the run, bytes that lie in its bundles and blobs already, webhook, scenario, how ('instant', 'sequential' = the
--       same where runs come one after the other, 'one' = a person wants an event that waits, 'await' = he waits for the
--       next one), most runs at a time, most events,
--       then fields and chunks as of create
-- Gives the instant at which the run was accepted, or a word that says why there is none.
local prefix, how = prefix_of(KEYS[1], ARGV[1]), ARGV[5]
local hook, scenario = prefix .. ':hook:' .. ARGV[3], prefix .. ':scenario:' .. ARGV[4]
if redis.call('HGET', hook, 'scenario') ~= ARGV[4] then return 'gone' end
local instant = how == 'instant' or how == 'sequential'
if instant then
  local found = redis.call('HMGET', scenario, 'active', 'mode', 'paused')
  if found[1] ~= '1' or found[2] ~= 'immediately' then
    redis.call('SREM', prefix .. ':hooks:busy', ARGV[3])
    return 'inactive'
  end
  if tonumber(found[3] or 0) > now_ms() then return 'paused' end
  if redis.call('SCARD', scenario .. ':instant') >= tonumber(ARGV[6]) then return 'busy' end
end
if how ~= 'await' and redis.call('EXISTS', hook .. ':waiting') == 0 then
  redis.call('SREM', prefix .. ':hooks:busy', ARGV[3])
  return 'empty'
end
if how == 'await' and redis.call('HGET', hook, 'awaiting') then
  local run = redis.call('HGET', prefix .. ':run:' .. redis.call('HGET', hook, 'awaiting'), 'state')
  if run == 'queued' or run == 'parked' or run == 'running' then return 'awaited' end
end
if how == 'sequential' then
  if first_in_line(prefix, ARGV[4]) or redis.call('ZCARD', scenario .. ':incompletes') > 0
    or redis.call('SCARD', scenario .. ':retries') > 0 then
    return 'busy'
  end
end
local now = create_run(ARGV[1], 8, tonumber(ARGV[2]))
if how == 'await' then
  redis.call('HSET', KEYS[1], 'hook', ARGV[3])
  redis.call('HSET', hook, 'awaiting', ARGV[1])
else
  take_events(prefix, ARGV[1], ARGV[3], tonumber(ARGV[7]))
  if instant then redis.call('SADD', scenario .. ':instant', ARGV[1]) end
end
return now
