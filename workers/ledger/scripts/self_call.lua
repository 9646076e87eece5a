-- A scenario calls its own webhook: count it, and switch it off when it does so again and again.
-- KEYS: scenario    ARGV: first part of all keys, scenario, most calls, in so many seconds, reason
-- Gives 1 when this call has switched it off.
local count = redis.call('INCR', KEYS[1] .. ':self-calls')
if count == 1 then redis.call('EXPIRE', KEYS[1] .. ':self-calls', ARGV[4]) end
if count <= tonumber(ARGV[3]) or redis.call('HGET', KEYS[1], 'active') ~= '1' then return 0 end
switch_off(ARGV[1], ARGV[2], 'stop_reason', ARGV[5])
return 1
