-- Give the lease for renewing a connection back without a result.
-- KEYS: lease    ARGV: owner's token
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
