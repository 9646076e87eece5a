-- Note a request that must not be repeated unseen, before it is sent; prolongs the lease.
-- KEYS: run, leased    ARGV: id, fence, lease in ms, note
-- Gives 1, or 0 when the run is lost: then nothing may be sent.
if not holds(KEYS[1], ARGV[2]) then return 0 end
local ends = now_ms() + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'unsafe', ARGV[4], 'lease', ends)
redis.call('ZADD', KEYS[2], ends, ARGV[1])
return 1
