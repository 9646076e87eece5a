-- Store the events of one request, all of them or none.
-- KEYS: webhook    ARGV: prefix, id, most events that wait, hash that tells a repeated delivery or '', how long that is
--       known in ms, channel of the caller who waits or '', encrypted items...
-- Gives 'ok' and the events, or 'full', 'seen', 'gone'.
local hook, prefix, id = KEYS[1], ARGV[1], ARGV[2]
if redis.call('EXISTS', hook) == 0 then return {'gone'} end
local now = now_ms()
if ARGV[4] ~= '' then
  redis.call('ZREMRANGEBYSCORE', hook .. ':seen', 0, now - tonumber(ARGV[5]))
  if redis.call('ZSCORE', hook .. ':seen', ARGV[4]) then return {'seen'} end
end
if redis.call('ZCARD', hook .. ':waiting') + #ARGV - 6 > tonumber(ARGV[3]) then
  notify(prefix, redis.call('HGET', hook, 'scenario') or '', 'queue-full',
    'The queue of the webhook ' .. id .. ' is full; its requests are refused.', '')
  return {'full'}
end
if ARGV[4] ~= '' then redis.call('ZADD', hook .. ':seen', now, ARGV[4]) end
local out = {'ok'}
for i = 7, #ARGV do
  local number = redis.call('HINCRBY', hook, 'next', 1)
  local event = string.format('%d-%d', now, number)
  redis.call('HSET', hook .. ':events', event, ARGV[i])
  redis.call('ZADD', hook .. ':waiting', number, event)
  if ARGV[6] ~= '' then redis.call('HSET', hook .. ':held', event, ARGV[6]) end
  out[#out + 1] = event
end
if #out == 1 then return out end
tally(prefix, 'hook_events_accepted', #out - 1)
-- A run that a person started waits for just this.
local run = redis.call('HGET', hook, 'awaiting')
if run then
  redis.call('HDEL', hook, 'awaiting')
  local key = prefix .. ':run:' .. run
  local state = redis.call('HGET', key, 'state')
  if state == 'parked' or state == 'queued' or state == 'running' then
    take_events(prefix, run, id, 1)
    wake_run(prefix, run)
  end
end
if redis.call('EXISTS', hook .. ':waiting') == 1 then redis.call('SADD', prefix .. ':hooks:busy', id) end
return out
