-- Accept the retry of an incomplete execution: the run exists and the record is in progress, or neither.
-- KEYS: run, bundles, queued, runs, scenario's runs, record
-- ARGV: id of the run, bytes that lie in its bundles and blobs already, id of the record, most retries of the scenario
--       at a time, then fields and chunks as of create
-- Gives the instant at which the run was accepted, or a word that says why not.
local prefix, record = prefix_of(KEYS[1], ARGV[1]), ARGV[3]
local found = redis.call('HMGET', KEYS[6], 'status', 'scenario', 'sequential')
if found[1] ~= 'pending' then return found[1] or 'gone' end
local scenario = prefix .. ':scenario:' .. found[2]
local running = redis.call('SCARD', scenario .. ':retries')
if found[3] == '1' then
  if running > 0 then return 'busy' end
  local first, state = first_in_line(prefix, found[2])
  if first and (state ~= 'queued' or tonumber(redis.call('HGET', prefix .. ':run:' .. first, 'claims')) > 0) then
    return 'busy'
  end
  for _, id in ipairs(redis.call('ZRANGE', scenario .. ':incompletes', 0, -1)) do
    if redis.call('HGET', prefix .. ':incomplete:' .. id, 'status') == 'pending' then
      if id ~= record then return 'busy' end
      break
    end
  end
elseif running >= tonumber(ARGV[4]) then
  return 'busy'
end
local now = create_run(ARGV[1], 5, tonumber(ARGV[2]))
set_record(prefix, record, 'in progress')
redis.call('HINCRBY', KEYS[6], 'attempts', 1)
tally(prefix, 'retries_started')
local runs = redis.call('HGET', KEYS[6], 'retries')
redis.call('HSET', KEYS[6], 'retry', ARGV[1], 'retries', (runs and runs ~= '') and runs .. ' ' .. ARGV[1] or ARGV[1])
return now
