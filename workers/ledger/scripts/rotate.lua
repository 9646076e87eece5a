-- Replace the wrapped data key of a record, if it is still the one that was read.
-- KEYS: record    ARGV: wrapped key, new wrapped key
if redis.call('HGET', KEYS[1], 'key') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'key', ARGV[2])
return 1
