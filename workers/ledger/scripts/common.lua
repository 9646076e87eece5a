-- Put in front of every script. Instants are UTC milliseconds on the server's clock.
local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- True when this worker still holds the run.
local function holds(run, fence)
  local found = redis.call('HMGET', run, 'state', 'fence')
  return found[1] == 'running' and found[2] == fence
end

-- Put fields ARGV[from], ARGV[from + 1] = bytes, ... up to `upto` into a hash; gives the bytes that it grew by.
local function put_fields(key, from, upto)
  local grown = 0
  for i = from, upto, 2 do
    grown = grown + #ARGV[i + 1] - redis.call('HSTRLEN', key, ARGV[i])
    redis.call('HSET', key, ARGV[i], ARGV[i + 1])
  end
  return grown
end

-- Delete one field of a hash; gives the bytes freed.
local function drop_field(key, field)
  local size = redis.call('HSTRLEN', key, field)
  redis.call('HDEL', key, field)
  return size
end

-- The configured prefix, out of the key of a run.
local function prefix_of(run, id)
  return string.sub(run, 1, #run - #id - 5)
end

-- Count something for the installation; `what` is a counter's name and its labels.
local function tally(prefix, what, by)
  redis.call('HINCRBY', prefix .. ':counters', what, by or 1)
end

-- Index when a scenario is due next: its next run, a repetition, its first instant, or else its end. Nothing while a
-- due run is late.
local function plan_next(prefix, scenario)
  local found = redis.call('HMGET', prefix .. ':scenario:' .. scenario, 'active', 'late', 'next', 'again', 'opens',
    'closes')
  local due
  for i = 3, 5 do
    local instant = tonumber(found[i] or '')
    if instant and not (due and due < instant) then due = instant end
  end
  due = due or tonumber(found[6] or '')
  if found[1] == '1' and found[2] ~= '1' and due then
    redis.call('ZADD', prefix .. ':scenarios:due', due, scenario)
  else
    redis.call('ZREM', prefix .. ':scenarios:due', scenario)
  end
end

-- A scheduled run has ended: one that was due meanwhile is due now.
local function schedule_ended(prefix, scenario, id)
  local key = prefix .. ':scenario:' .. scenario
  local found = redis.call('HMGET', key, 'scheduled', 'late', 'next')
  if found[1] ~= id or found[2] ~= '1' then return end
  redis.call('HDEL', key, 'late')
  if (found[3] or '') ~= '' then redis.call('HSET', key, 'next', math.min(found[3], now_ms()), 'deferred', 1) end
  plan_next(prefix, scenario)
end

-- Tell a person: one message an hour for each scenario and kind.
local function notify(prefix, scenario, kind, message, run)
  local now = now_ms()
  local once = prefix .. ':notified:' .. scenario .. ':' .. kind .. ':' .. math.floor(now / 3600000)
  if redis.call('SET', once, 1, 'NX', 'EX', 3700) then
    redis.call('XADD', prefix .. ':notifications', 'MAXLEN', '~', 10000, '*', 'at', now, 'kind', kind,
      'scenario', scenario, 'name', redis.call('HGET', prefix .. ':scenario:' .. scenario, 'name') or '',
      'run', run, 'message', message)
  end
end

-- Switch a scenario off. `field` is `stop_reason` after errors, `finished` at the end of its schedule.
local function switch_off(prefix, scenario, field, reason, run)
  local key = prefix .. ':scenario:' .. scenario
  redis.call('HDEL', key, 'next', 'again', 'opens', 'closes', 'late', 'deferred', 'paused', 'not_before')
  redis.call('HSET', key, 'active', 0, field, reason, 'stopped', now_ms())
  plan_next(prefix, scenario)
  notify(prefix, scenario, 'deactivated', reason, run or '')
end

-- A run that nobody waits for cannot be used: neither could the next ones of its scenario.
local function run_unusable(run, id, reason)
  local found = redis.call('HMGET', run, 'kind', 'scenario')
  local prefix = prefix_of(run, id)
  if found[1] ~= 'auto' or redis.call('EXISTS', prefix .. ':scenario:' .. found[2]) == 0 then return end
  notify(prefix, found[2], 'error', reason, id)
  switch_off(prefix, found[2], 'stop_reason', reason, id)
end

-- True when this run is there and has ended.
local function has_ended(prefix, id)
  local state = redis.call('HGET', prefix .. ':run:' .. id, 'state')
  return state == 'success' or state == 'warning' or state == 'error' or state == 'cancelled'
end

-- First run in a sequential scenario's line that has not ended.
local function first_in_line(prefix, scenario)
  local line = prefix .. ':scenario:' .. scenario .. ':line'
  while true do
    local first = redis.call('ZRANGE', line, 0, 0)[1]
    if not first then return nil end
    local state = redis.call('HGET', prefix .. ':run:' .. first, 'state')
    if state and state ~= 'success' and state ~= 'warning' and state ~= 'error' and state ~= 'cancelled' then
      return first, state
    end
    redis.call('ZREM', line, first)
  end
end

-- Have the next sweep send a message for the run whose turn it is.
local function call_next(prefix, scenario)
  local first, state = first_in_line(prefix, scenario)
  if first and state == 'queued' then
    redis.call('ZADD', prefix .. ':runs:queued', 0, first)
    redis.call('ZREM', prefix .. ':runs:in-line', first)
  end
end

-- What a parked run waits for has happened: the next sweep queues it, and it does not wait for its time.
local function wake_run(prefix, id)
  local run = prefix .. ':run:' .. id
  if redis.call('HGET', run, 'state') ~= 'parked' then return end
  redis.call('HSET', run, 'woken', 1, 'wake', now_ms())
  redis.call('ZADD', prefix .. ':runs:due', now_ms(), id)
end

-- How long an answer waits for the gateway that holds the request.
local ANSWER_SECONDS = 300

-- Give an answer to the caller of an event, if he still waits. The first one counts.
local function answer_caller(hook, event, answer)
  local channel = redis.call('HGET', hook .. ':held', event)
  if not channel then return end
  redis.call('HDEL', hook .. ':held', event)
  redis.call('SET', hook .. ':answer:' .. event, answer, 'NX', 'EX', ANSWER_SECONDS)
  redis.call('PUBLISH', channel, event)
end

-- An event that this run has taken is done with.
local function forget_event(hook, event, id)
  if redis.call('HGET', hook .. ':taken', event) ~= id then return end
  redis.call('HDEL', hook .. ':taken', event)
  redis.call('HDEL', hook .. ':events', event)
end

-- Give a run the oldest events that wait, at most so many; gives their number.
local function take_events(prefix, id, hook, most)
  local run, key = prefix .. ':run:' .. id, prefix .. ':hook:' .. hook
  local events = redis.call('ZRANGE', key .. ':waiting', 0, most - 1)
  if #events == 0 then
    redis.call('SREM', prefix .. ':hooks:busy', hook)
    return 0
  end
  for _, event in ipairs(events) do redis.call('HSET', key .. ':taken', event, id) end
  redis.call('ZREM', key .. ':waiting', unpack(events))
  redis.call('HSET', run, 'hook', hook, 'events', table.concat(events, ' '))
  return #events
end

-- A run has ended: its events that are not done with go back to their places or to the dead ones, callers get their answer.
local function release_events(prefix, run, id, to)
  local found = redis.call('HMGET', run, 'hook', 'events', 'scenario', 'state')
  if not found[1] then return end
  local hook = prefix .. ':hook:' .. found[1]
  redis.call('SREM', prefix .. ':scenario:' .. found[3] .. ':instant', id)
  if redis.call('HGET', hook, 'awaiting') == id then redis.call('HDEL', hook, 'awaiting') end
  local good = found[4] == 'success' or found[4] == 'warning'
  for event in string.gmatch(found[2] or '', '%S+') do
    if redis.call('HGET', hook .. ':taken', event) == id then
      redis.call('HDEL', hook .. ':taken', event)
      if to == 'dead' then
        redis.call('ZADD', hook .. ':dead', now_ms(), event)
        tally(prefix, 'hook_events_dead')
      else
        redis.call('ZADD', hook .. ':waiting', string.match(event, '%d+$'), event)
      end
    end
    answer_caller(hook, event, good and 'accepted' or 'failed')
  end
  if redis.call('EXISTS', hook .. ':waiting') == 1 then redis.call('SADD', prefix .. ':hooks:busy', found[1]) end
end

-- A run has ended: what it holds counts for the history, the next one of a sequential scenario may
-- start, the run that waits for it goes on, and its events that are not done with go `back` or are `dead`.
local function run_ended(run, id, events)
  local prefix, scenario = prefix_of(run, id), redis.call('HGET', run, 'scenario')
  tally(prefix, 'runs_ended ' .. redis.call('HGET', run, 'state'))
  for _, index in ipairs({'waiting', 'in-line', 'undecided'}) do redis.call('ZREM', prefix .. ':runs:' .. index, id) end
  release_events(prefix, run, id, events)
  if redis.call('HGET', run, 'callback') then redis.call('ZADD', prefix .. ':callbacks', now_ms(), id) end
  local held = redis.call('HMGET', run, 'bytes', 'journal')
  redis.call('INCRBY', prefix .. ':runs:ended:bytes', tonumber(held[1] or 0) + tonumber(held[2] or 0))
  if scenario and redis.call('ZREM', prefix .. ':scenario:' .. scenario .. ':line', id) == 1 then
    call_next(prefix, scenario)
  end
  if scenario then schedule_ended(prefix, scenario, id) end
  local parent = redis.call('HGET', run, 'parent')
  if parent and redis.call('HGET', prefix .. ':run:' .. parent, 'child') == id then wake_run(prefix, parent) end
end

-- True when a run of a sequential scenario has to wait for others, or for incomplete executions.
local function must_wait(run, id)
  local found = redis.call('HMGET', run, 'sequential', 'scenario', 'kind', 'claims')
  if found[1] ~= '1' or found[3] == 'incomplete' or tonumber(found[4]) > 0 then return false end
  local prefix = prefix_of(run, id)
  local open = prefix .. ':scenario:' .. found[2] .. ':incompletes'
  if first_in_line(prefix, found[2]) ~= id or redis.call('ZCARD', open) > 0 then return true end
  return redis.call('SCARD', prefix .. ':scenario:' .. found[2] .. ':retries') > 0
end

-- Put an accepted run into the ledger. ARGV[from] is its number of fields, then come (name, value)..., the number of
-- chunks, (name, bytes)...; KEYS as of create.
local function create_run(id, from, held)
  local now = now_ms()
  local fields = tonumber(ARGV[from])
  local chunks = from + 1 + 2 * fields
  local bytes = put_fields(KEYS[2], chunks + 1, chunks + 2 * tonumber(ARGV[chunks])) + held
  redis.call('HSET', KEYS[1], 'state', 'queued', 'created', now, 'fence', 0, 'seq', 0, 'claims', 0, 'idle', 0,
    'bytes', bytes, unpack(ARGV, from + 1, from + 2 * fields))
  redis.call('ZADD', KEYS[3], now, id)
  redis.call('ZADD', KEYS[4], now, id)
  redis.call('ZADD', KEYS[5], now, id)
  local found = redis.call('HMGET', KEYS[1], 'sequential', 'kind', 'scenario')
  local prefix = prefix_of(KEYS[1], id)
  redis.call('ZADD', prefix .. ':runs:waiting', now, id)
  tally(prefix, 'runs_accepted ' .. (found[2] or 'manual'))
  if found[1] == '1' and found[2] ~= 'incomplete' then
    local line = prefix .. ':scenario:' .. found[3] .. ':line'
    local last = redis.call('ZRANGE', line, -1, -1, 'WITHSCORES')
    redis.call('ZADD', line, 1 + tonumber(last[2] or 0), id)
  end
  return now
end

-- Change what an incomplete execution waits for, with all indexes. `next_ms` is for `pending`.
local function set_record(prefix, id, status, next_ms)
  local key = prefix .. ':incomplete:' .. id
  local found = redis.call('HMGET', key, 'scenario', 'size', 'status')
  local scenario = prefix .. ':scenario:' .. found[1]
  redis.call('HSET', key, 'status', status)
  redis.call('HDEL', key, 'next')
  redis.call('ZREM', prefix .. ':incompletes:due', id)
  redis.call('ZREM', prefix .. ':incompletes:running', id)
  redis.call('ZREM', prefix .. ':incompletes:unresolved', id)
  redis.call('SREM', scenario .. ':retries', id)
  if status == 'pending' then
    redis.call('HSET', key, 'next', next_ms)
    redis.call('ZADD', prefix .. ':incompletes:due', next_ms, id)
  elseif status == 'unresolved' then
    redis.call('ZADD', prefix .. ':incompletes:unresolved', now_ms(), id)
  elseif status == 'in progress' then
    redis.call('ZADD', prefix .. ':incompletes:running', now_ms(), id)
    redis.call('SADD', scenario .. ':retries', id)
  elseif status == 'resolved' and found[3] ~= 'resolved' then
    -- What the retry would have started with is of no use any more.
    redis.call('HSET', key, 'resolved', now_ms())
    redis.call('HDEL', key, 'cursor', 'request', 'key')
    redis.call('DEL', key .. ':bundles', key .. ':blobs')
    redis.call('ZREM', scenario .. ':incompletes', id)
    redis.call('DECRBY', scenario .. ':incompletes:bytes', found[2])
  end
  if redis.call('ZCARD', scenario .. ':incompletes') == 0 then call_next(prefix, found[1]) end
end
