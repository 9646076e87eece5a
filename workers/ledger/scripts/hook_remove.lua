-- Remove a webhook with all its events; its address is nobody's from now on unless others share it.
-- KEYS: webhook, webhooks, token, set of its uid ('' = none)    ARGV: prefix, id, 1 when nobody shares the address
local scenario = redis.call('HGET', KEYS[1], 'scenario')
if scenario and redis.call('HGET', ARGV[1] .. ':scenario:' .. scenario, 'hook') == ARGV[2] then
  redis.call('HDEL', ARGV[1] .. ':scenario:' .. scenario, 'hook')
end
for _, event in ipairs(redis.call('HKEYS', KEYS[1] .. ':held')) do answer_caller(KEYS[1], event, 'failed') end
redis.call('DEL', KEYS[1], KEYS[1] .. ':taken', KEYS[1] .. ':held', KEYS[1] .. ':rate', KEYS[1] .. ':seen')
redis.call('UNLINK', KEYS[1] .. ':waiting', KEYS[1] .. ':events', KEYS[1] .. ':dead')
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('SREM', ARGV[1] .. ':hooks:busy', ARGV[2])
if KEYS[4] ~= '' then redis.call('SREM', KEYS[4], ARGV[2]) end
if ARGV[3] == '1' then redis.call('DEL', KEYS[3]) end
return 1
