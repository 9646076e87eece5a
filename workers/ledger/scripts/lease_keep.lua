-- Prolong the lease for renewing a connection, and note that something is being sent.
-- KEYS: lease    ARGV: owner's token, lease in ms, '1' when something is being sent, else '0'
-- Gives 1, or 0 when somebody else has it.
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'ends', now_ms() + tonumber(ARGV[2]))
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'sent', '1') end
return 1
