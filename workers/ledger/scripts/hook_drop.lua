-- Delete events of a webhook that no run has taken; without a list all that wait or are dead.
-- KEYS: webhook    ARGV: events...
-- Gives how many there were.
local events, many = ARGV, 0
if #ARGV == 0 then
  events = redis.call('ZRANGE', KEYS[1] .. ':waiting', 0, -1)
  for _, event in ipairs(redis.call('ZRANGE', KEYS[1] .. ':dead', 0, -1)) do events[#events + 1] = event end
end
for _, event in ipairs(events) do
  if redis.call('ZREM', KEYS[1] .. ':waiting', event) + redis.call('ZREM', KEYS[1] .. ':dead', event) > 0 then
    redis.call('HDEL', KEYS[1] .. ':events', event)
    answer_caller(KEYS[1], event, 'accepted')
    many = many + 1
  end
end
return many
