-- Give a data store another data structure, if it is still the same store.
-- KEYS: store    ARGV: its id, the sealed structure or ''
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'structure', ARGV[2])
return 1
