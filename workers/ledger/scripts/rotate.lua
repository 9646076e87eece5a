-- Replace a run's wrapped data key, if it is still the one that was read.
-- KEYS: run    ARGV: wrapped key, new wrapped key
if redis.call('HGET', KEYS[1], 'key') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'key', ARGV[2])
return 1
