-- Write one step's whole effect, prolong the lease and, at the end of a segment, move the run. All or nothing.
-- KEYS: run, bundles, journal, leased, queued, due, ended, connections..., records of intents...,
--       then for each store write: the store, its records, their order
-- ARGV: id, fence, sequence number, lease in ms, cursor, operations, cycles, state to move to or '', instant of the
--       wake-up, error, outputs, most bytes of a journal, name given from inside, version of the cursor,
--       most bytes of a store, then counted lists: chunks (name, bytes), journal records, chunks to drop, connections (key each),
--       intents (key each; version, value), an incomplete execution to store (id, most open records, most bytes, its
--       size, number of fields, (name, value)..., number of chunks, (name, bytes)..., number of blob pieces, (name,
--       bytes)...; delay in ms of its first retry or ''), the outcome of a retry (record, status, delay in ms, error,
--       schedule), what happens to the scenario (word, most errors, reason, delays in ms...), messages to people (kind,
--       text), writes to stores (three keys each; id of the store, put | delete | clear, field, value), what happens to
--       events of webhooks (ack | answer, webhook, event, answer); last, where events go that an ending run has not
--       acknowledged: back | dead
-- Gives: word, 1 when a stop was asked for, fence, then the versions of the connections, then for each intent 1 when
-- it was applied, else 0, and the same for each store write. {'full'} when the incomplete execution may not be stored,
-- {'store full', number of the write} when a store would grow over its limit: then nothing at all is written.
local run, id, seq = KEYS[1], ARGV[1], tonumber(ARGV[3])
local found = redis.call('HMGET', run, 'state', 'fence', 'seq', 'stop', 'applied', 'journal')
if found[2] ~= ARGV[2] then return {'lost'} end
local repeated = seq == tonumber(found[3])
if found[1] ~= 'running' and not repeated then return {'lost'} end
if not repeated and seq ~= tonumber(found[3]) + 1 then return {'lost'} end

local at = 16
local function counted(width)
  local from, many = at + 1, tonumber(ARGV[at])
  at = from + many * width
  return from, many
end
local chunks, chunk_count = counted(2)
local records, record_count = counted(1)
local drops, drop_count = counted(1)
local _, connection_count = counted(0)
local intents, intent_count = counted(2)
local failed, failed_count = counted(1)
local outcome, outcome_count = counted(1)
local change, change_count = counted(1)
local notices, notice_count = counted(2)
local writes, write_count = counted(4)
local events, event_count = counted(4)
local events_to = ARGV[at]
local store_bytes, store_keys = tonumber(ARGV[15]), 7 + connection_count + intent_count
local function store_write(i)
  local from = writes + 4 * (i - 1)
  local key = store_keys + 3 * (i - 1)
  return KEYS[key + 1], KEYS[key + 2], KEYS[key + 3], ARGV[from], ARGV[from + 1], ARGV[from + 2], ARGV[from + 3]
end

local answer = {'ok', tonumber(found[4] or 0), ARGV[2]}
for i = 1, connection_count do
  answer[#answer + 1] = tonumber(redis.call('HGET', KEYS[7 + i], 'version') or 0)
end
if repeated then
  for word in string.gmatch(found[5] or '', '%d') do answer[#answer + 1] = tonumber(word) end
  return answer
end

-- First the sizes, as they would be: a store over its limit refuses the whole checkpoint.
local sizes, fields, cleared = {}, {}, {}
for i = 1, write_count do
  local meta, stored, _, store, kind, field, value = store_write(i)
  local head = redis.call('HMGET', meta, 'id', 'bytes')
  if head[1] == store then
    local place = stored .. ' ' .. field
    local before = fields[place] or (cleared[stored] and 0) or redis.call('HSTRLEN', stored, field)
    if kind == 'clear' then
      sizes[meta], cleared[stored] = 0, true
      for name in pairs(fields) do
        if string.sub(name, 1, #stored + 1) == stored .. ' ' then fields[name] = 0 end
      end
    else
      fields[place] = kind == 'put' and #value or 0
      sizes[meta] = (sizes[meta] or tonumber(head[2] or 0)) + fields[place] - before
      if kind == 'put' and sizes[meta] > store_bytes and fields[place] > before then return {'store full', i} end
    end
  end
end

-- A scheduled run that failed is done again as a whole, after the next of these delays (spec 3.6). Gives `again`, `off`
-- after the last one, `none` when the scenario has been switched off.
local function repeat_later(prefix, scenario, delays, many)
  local key, now = prefix .. ':scenario:' .. scenario, now_ms()
  local found = redis.call('HMGET', key, 'active', 'again', 'backoffs', 'mode')
  if found[1] ~= '1' then return 'none' end
  redis.call('HSET', key, 'errors', 0)
  -- Runs that failed at the same time are one step.
  if (tonumber(found[2] or '') or 0) > now then return 'again' end
  local failures = tonumber(found[3] or 0)
  if failures >= many then return 'off' end
  local again = now + tonumber(ARGV[delays + failures])
  redis.call('HSET', key, 'again', again, 'backoffs', failures + 1)
  if found[4] == 'immediately' then redis.call('HSET', key, 'paused', again) end
  plan_next(prefix, scenario)
  return 'again'
end

local prefix = prefix_of(run, id)
if failed_count > 0 then
  local scenario = prefix .. ':scenario:' .. redis.call('HGET', run, 'scenario')
  local size, bytes = tonumber(ARGV[failed + 3]), scenario .. ':incompletes:bytes'
  if redis.call('ZCARD', scenario .. ':incompletes') >= tonumber(ARGV[failed + 1])
    or tonumber(redis.call('GET', bytes) or 0) + size > tonumber(ARGV[failed + 2]) then
    return {'full'}
  end
  local stored, created, fields = ARGV[failed], now_ms(), tonumber(ARGV[failed + 4])
  local key, from = prefix .. ':incomplete:' .. stored, failed + 5
  redis.call('HSET', key, 'id', stored, 'created', created, 'size', size, 'attempts', 0, unpack(ARGV, from,
    from + 2 * fields - 1))
  from = from + 2 * fields
  for _, part in ipairs({':bundles', ':blobs'}) do
    local many = tonumber(ARGV[from])
    put_fields(key .. part, from + 1, from + 2 * many)
    from = from + 1 + 2 * many
  end
  redis.call('ZADD', prefix .. ':incompletes', created, stored)
  redis.call('ZADD', scenario .. ':incompletes', created, stored)
  redis.call('INCRBY', bytes, size)
  local delay = ARGV[from]
  tally(prefix, 'incomplete_stored')
  set_record(prefix, stored, delay == '' and 'unresolved' or 'pending', created + (tonumber(delay) or 0))
end
if outcome_count > 0 then
  local key = prefix .. ':incomplete:' .. ARGV[outcome]
  local found = redis.call('HMGET', key, 'retry', 'status')
  if found[1] == id and found[2] == 'in progress' then
    if ARGV[outcome + 3] ~= '' then
      redis.call('HSET', key, 'error', ARGV[outcome + 3], 'schedule', ARGV[outcome + 4])
    end
    set_record(prefix, ARGV[outcome], ARGV[outcome + 1], now_ms() + tonumber(ARGV[outcome + 2]))
  end
end
local state = ARGV[8]
if change_count > 0 then
  local scenario, word = redis.call('HGET', run, 'scenario'), ARGV[change]
  local key = prefix .. ':scenario:' .. scenario
  if redis.call('EXISTS', key) == 1 then
    local off = word == 'off'
    if word == 'reset' then redis.call('HSET', key, 'errors', 0) end
    if (word == 'reset' or word == 'heal') and tonumber(redis.call('HGET', key, 'backoffs') or 0) > 0 then
      redis.call('HDEL', key, 'backoffs', 'again', 'paused')
      plan_next(prefix, scenario)
    end
    if word == 'count' then
      off = redis.call('HINCRBY', key, 'errors', 1) >= tonumber(ARGV[change + 1])
      -- Data that is not ready yet: not before its delay.
      if not off and change_count > 3 then
        redis.call('HSET', key, 'not_before', now_ms() + tonumber(ARGV[change + 3]))
      end
    elseif word == 'again' then
      local what = repeat_later(prefix, scenario, change + 3, change_count - 3)
      off = what == 'off'
      if what == 'again' then state = 'warning' end
    end
    if off then switch_off(prefix, scenario, 'stop_reason', ARGV[change + 2], id) end
  end
end
for i = notices, notices + 2 * (notice_count - 1), 2 do
  local kind = ARGV[i] == 'error' and state == 'warning' and 'warning' or ARGV[i]
  notify(prefix, redis.call('HGET', run, 'scenario'), kind, ARGV[i + 1], id)
end

local applied = ''
for i = 1, intent_count do
  local key = KEYS[7 + connection_count + i]
  local version, value = tonumber(ARGV[intents + 2 * i - 2]), ARGV[intents + 2 * i - 1]
  -- A record that has moved since this run read it belongs to whoever moved it.
  local fits = tonumber(redis.call('HGET', key, 'version') or 0) == version
  if fits then redis.call('HSET', key, 'v', 1, 'version', version + 1, 'state', value) end
  applied = applied .. (fits and '1' or '0')
  answer[#answer + 1] = fits and 1 or 0
end
for i = 1, write_count do
  local meta, stored, order, store, kind, field, value = store_write(i)
  local head = redis.call('HMGET', meta, 'id', 'private')
  local fits = head[1] == store
  if fits and kind == 'put' then
    redis.call('HSET', stored, field, value)
    -- A replaced record keeps its place.
    if not redis.call('ZSCORE', order, field) then
      redis.call('ZADD', order, redis.call('HINCRBY', meta, 'next', 1), field)
    end
  elseif fits and kind == 'delete' then
    redis.call('HDEL', stored, field)
    redis.call('ZREM', order, field)
  elseif fits then
    redis.call('DEL', stored, order)
  end
  if fits and head[2] == '1' then
    local left = redis.call('TTL', meta)
    if left > 0 then
      redis.call('EXPIRE', stored, left)
      redis.call('EXPIRE', order, left)
    end
  end
  applied = applied .. (fits and '1' or '0')
  answer[#answer + 1] = fits and 1 or 0
end
for meta, size in pairs(sizes) do redis.call('HSET', meta, 'bytes', size) end

for i = events, events + 4 * (event_count - 1), 4 do
  local hook = prefix .. ':hook:' .. ARGV[i + 1]
  if ARGV[i] == 'ack' then
    forget_event(hook, ARGV[i + 2], id)
  else
    answer_caller(hook, ARGV[i + 2], '=' .. ARGV[i + 3])
  end
end

local grown = put_fields(KEYS[2], chunks, chunks + 2 * chunk_count - 1)
for i = drops, drops + drop_count - 1 do grown = grown - drop_field(KEYS[2], ARGV[i]) end
local journal = tonumber(found[6] or 0)
for i = records, records + record_count - 1 do
  if journal + #ARGV[i] <= tonumber(ARGV[12]) then
    redis.call('XADD', KEYS[3], '*', 'r', ARGV[i])
    journal = journal + #ARGV[i]
  end
end

local now = now_ms()
redis.call('HSET', run, 'cursor', ARGV[5], 'seq', seq, 'idle', 0, 'unsafe', '', 'decided', '', 'operations', ARGV[6],
  'cycles', ARGV[7], 'applied', applied, 'journal', journal, 'label', ARGV[13],
  'cursor_v', ARGV[14])
redis.call('HDEL', run, 'mid', 'woken')
if ARGV[8] ~= 'parked' then redis.call('HDEL', run, 'child') end
if grown ~= 0 then redis.call('HINCRBY', run, 'bytes', grown) end

if state == '' then
  local ends = now + tonumber(ARGV[4])
  redis.call('HSET', run, 'lease', ends)
  redis.call('ZADD', KEYS[4], ends, id)
  return answer
end
redis.call('HSET', run, 'state', state)
redis.call('HDEL', run, 'owner', 'lease')
redis.call('ZREM', KEYS[4], id)
if state == 'parked' then
  redis.call('HSET', run, 'wake', ARGV[9])
  redis.call('ZADD', KEYS[6], ARGV[9], id)
  local child = redis.call('HGET', run, 'child')
  if child and has_ended(prefix, child) then wake_run(prefix, id) end
elseif state == 'queued' then
  redis.call('ZADD', KEYS[5], now, id)
else
  redis.call('HSET', run, 'ended', now, 'error', ARGV[10], 'outputs', ARGV[11])
  if state == 'incomplete' then
    redis.call('ZADD', prefix .. ':runs:undecided', now, id)
  else
    redis.call('ZADD', KEYS[7], now, id)
  end
end
redis.call('XADD', KEYS[3], '*', 's', state)
if state == 'incomplete' then schedule_ended(prefix, redis.call('HGET', run, 'scenario'), id) end
if state ~= 'parked' and state ~= 'queued' and state ~= 'incomplete' then
  run_ended(run, id, events_to)
end
return answer
