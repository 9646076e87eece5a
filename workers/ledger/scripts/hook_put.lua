-- Write a webhook. A new one (version 0) gets its address, and must not be there yet.
-- KEYS: webhook, webhooks, token, set of its uid ('' = none), set of its former uid ('' = none)
-- ARGV: id, version that was read, whose the token is, bytes of name and value pairs...
-- Gives 1, or 0 when somebody else has changed it.
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
if version ~= tonumber(ARGV[2]) then return 0 end
if version == 0 then
  redis.call('HSET', KEYS[1], 'created', now_ms())
  redis.call('ZADD', KEYS[2], now_ms(), ARGV[1])
end
redis.call('HSET', KEYS[1], 'version', version + 1, unpack(ARGV, 4))
redis.call('SET', KEYS[3], ARGV[3])
if KEYS[5] ~= '' then redis.call('SREM', KEYS[5], ARGV[1]) end
if KEYS[4] ~= '' then redis.call('SADD', KEYS[4], ARGV[1]) end
return 1
