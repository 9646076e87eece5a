-- Write a renewed connection and give its lease back, in one step.
-- KEYS: record, lease, index    ARGV: id, expected version, owner's token, (name, value)...
-- Gives 1 when it was written, 0 when the record has another version, -1 when the lease is lost and so is the answer.
local found = redis.call('HMGET', KEYS[1], 'version', 'lost')
local mine = redis.call('HGET', KEYS[2], 'owner') == ARGV[3]
if not found[1] or not (mine or found[2] == ARGV[3]) then return -1 end
if tonumber(found[1]) ~= tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('SADD', KEYS[3], ARGV[1])
if mine then redis.call('DEL', KEYS[2]) end
return 1
