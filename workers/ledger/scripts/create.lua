-- Accept a run. Asked twice with the same id, it changes nothing.
-- KEYS: run, bundles, queued, runs, scenario's runs
-- ARGV: id, bytes that lie in its bundles and blobs already, number of fields, (name, value)..., number of chunks,
--       (name, bytes)...
if redis.call('EXISTS', KEYS[1]) == 1 then return tonumber(redis.call('HGET', KEYS[1], 'created')) end
return create_run(ARGV[1], 3, tonumber(ARGV[2]))
