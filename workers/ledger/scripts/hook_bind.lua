-- Bind a webhook to a scenario, or free it from the one that it serves: one webhook, one scenario.
-- KEYS: webhook    ARGV: prefix, id, scenario or ''
-- Gives 'ok', 'gone', or the scenario that it serves already.
local own = redis.call('HGET', KEYS[1], 'scenario')
if redis.call('EXISTS', KEYS[1]) == 0 then return 'gone' end
local scenario = ARGV[3]
if scenario == '' then
  redis.call('HDEL', KEYS[1], 'scenario')
  if own and redis.call('HGET', ARGV[1] .. ':scenario:' .. own, 'hook') == ARGV[2] then
    redis.call('HDEL', ARGV[1] .. ':scenario:' .. own, 'hook')
  end
  return 'ok'
end
if own and own ~= scenario and redis.call('EXISTS', ARGV[1] .. ':scenario:' .. own) == 1 then return own end
local key = ARGV[1] .. ':scenario:' .. scenario
local former = redis.call('HGET', key, 'hook')
if former and former ~= ARGV[2] then redis.call('HDEL', ARGV[1] .. ':hook:' .. former, 'scenario') end
redis.call('HSET', KEYS[1], 'scenario', scenario)
redis.call('HSET', key, 'hook', ARGV[2])
if redis.call('EXISTS', KEYS[1] .. ':waiting') == 1 then redis.call('SADD', ARGV[1] .. ':hooks:busy', ARGV[2]) end
return 'ok'
