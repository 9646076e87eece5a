-- Accept a run. Asked twice with the same id, it changes nothing.
-- KEYS: run, bundles, queued, runs, scenario's runs
-- ARGV: id, number of fields, (name, value)..., number of chunks, (name, bytes)...
if redis.call('EXISTS', KEYS[1]) == 1 then return tonumber(redis.call('HGET', KEYS[1], 'created')) end
local now, id = now_ms(), ARGV[1]
local fields = tonumber(ARGV[2])
local chunks = 3 + 2 * fields
local bytes = put_fields(KEYS[2], chunks + 1, chunks + 2 * tonumber(ARGV[chunks]))
redis.call('HSET', KEYS[1], 'state', 'queued', 'created', now, 'fence', 0, 'seq', 0, 'claims', 0, 'idle', 0,
  'bytes', bytes, unpack(ARGV, 3, 2 + 2 * fields))
redis.call('ZADD', KEYS[3], now, id)
redis.call('ZADD', KEYS[4], now, id)
redis.call('ZADD', KEYS[5], now, id)
return now
