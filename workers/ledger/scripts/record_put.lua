-- Replace a record if its version is the expected one (0: it must not exist).
-- KEYS: record, index    ARGV: id, expected version, (name, value)...
-- Gives 1 when it was written.
local found = redis.call('HGET', KEYS[1], 'version')
local version = found and tonumber(found) or 0
if redis.call('EXISTS', KEYS[1]) == 1 and not found then version = -1 end
if version ~= tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('SADD', KEYS[2], ARGV[1])
return 1
