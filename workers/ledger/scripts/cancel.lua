-- Stop a run: at once when no worker holds it, else after the current operation.
-- KEYS: run, queued, due, ended, journal    ARGV: id, error
-- Gives the state afterwards, or '' when there is no such run.
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return '' end
if state == 'running' then
  redis.call('HSET', KEYS[1], 'stop', 1)
elseif state == 'queued' or state == 'parked' or state == 'incomplete' then
  local now = now_ms()
  -- A step of unknown outcome must not be repeated by a second run of the same event.
  local events = state == 'incomplete' and 'dead' or 'back'
  state = 'cancelled'
  redis.call('HSET', KEYS[1], 'state', state, 'ended', now, 'error', ARGV[2])
  redis.call('HDEL', KEYS[1], 'wake')
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZADD', KEYS[4], now, ARGV[1])
  redis.call('XADD', KEYS[5], '*', 's', state)
  run_ended(KEYS[1], ARGV[1], events)
end
return state
