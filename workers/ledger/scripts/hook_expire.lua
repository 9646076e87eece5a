-- Drop events of a webhook that have waited, or been dead, for too long.
-- KEYS: webhook    ARGV: how long they may, in ms
-- Gives how many there were.
local before, many = now_ms() - tonumber(ARGV[1]), 0
for _, place in ipairs({':waiting', ':dead'}) do
  while true do
    local event = redis.call('ZRANGE', KEYS[1] .. place, 0, 0)[1]
    if not event or tonumber(string.match(event, '^%d+')) > before then break end
    redis.call('ZREM', KEYS[1] .. place, event)
    redis.call('HDEL', KEYS[1] .. ':events', event)
    many = many + 1
  end
end
return many
