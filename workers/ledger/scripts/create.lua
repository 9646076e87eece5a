-- Accept a run. Asked twice with the same id, it accepts it once.
-- KEYS: run, bundles, queued, runs, scenario's runs
-- ARGV: id, bytes that lie in its bundles and blobs already, number of fields, (name, value)..., number of chunks,
--       (name, bytes)...
local created = tonumber(redis.call('HGET', KEYS[1], 'created') or create_run(ARGV[1], 3, tonumber(ARGV[2])))
-- A run that waits for this one knows it, so that the end of this one wakes it.
local parent = redis.call('HGET', KEYS[1], 'parent')
if parent then
  local waiting = prefix_of(KEYS[1], ARGV[1]) .. ':run:' .. parent
  if redis.call('HGET', waiting, 'state') == 'running' then redis.call('HSET', waiting, 'child', ARGV[1]) end
end
return created
