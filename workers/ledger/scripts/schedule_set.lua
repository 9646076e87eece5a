-- Write a scenario's schedule and whether it is active, if it still has this blueprint.
-- KEYS: scenario    ARGV: first part of all keys, scenario, hash of the blueprint, then (field, value)...
-- An empty value deletes its field.    Gives 1, or 0 when it has another blueprint by now or is gone.
if redis.call('HGET', KEYS[1], 'blueprint') ~= ARGV[3] then return 0 end
for i = 4, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
plan_next(ARGV[1], ARGV[2])
return 1
