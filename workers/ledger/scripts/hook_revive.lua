-- Let dead events of a webhook wait again.
-- KEYS: webhook    ARGV: prefix, id
-- Gives how many there were.
local dead = redis.call('ZRANGE', KEYS[1] .. ':dead', 0, -1)
for _, event in ipairs(dead) do redis.call('ZADD', KEYS[1] .. ':waiting', string.match(event, '%d+$'), event) end
redis.call('DEL', KEYS[1] .. ':dead')
if #dead > 0 then redis.call('SADD', ARGV[1] .. ':hooks:busy', ARGV[2]) end
return #dead
