-- Let a run go on that stopped at a step of unknown outcome.
-- KEYS: run, queued, ended    ARGV: id
-- Gives {'ok', fence} when it goes on, else {state, fence}.
local found = redis.call('HMGET', KEYS[1], 'state', 'fence')
if not found[1] then return {'', 0} end
if found[1] ~= 'incomplete' then return {found[1], tonumber(found[2])} end
redis.call('HSET', KEYS[1], 'state', 'queued', 'decided', 1, 'idle', 0, 'error', '')
redis.call('HDEL', KEYS[1], 'ended', 'stop')
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', prefix_of(KEYS[1], ARGV[1]) .. ':runs:undecided', ARGV[1])
redis.call('ZADD', KEYS[2], now_ms(), ARGV[1])
return {'ok', tonumber(found[2])}
