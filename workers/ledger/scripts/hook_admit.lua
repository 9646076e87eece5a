-- Count one request to a webhook, before its body is read.
-- KEYS: webhook    ARGV: most requests in a window, window in ms, most events that wait
-- Gives 'ok', 'rate', 'full' or 'gone'.
if redis.call('EXISTS', KEYS[1]) == 0 then return 'gone' end
local key, window = KEYS[1] .. ':rate', tonumber(ARGV[2])
local now = now_ms()
local index = math.floor(now / window)
local found = redis.call('HMGET', key, 'index', 'count', 'before')
local count, before = tonumber(found[2] or 0), tonumber(found[3] or 0)
local last = tonumber(found[1] or -1)
if last ~= index then
  before = last == index - 1 and count or 0
  count = 0
end
-- Of the window before, the part counts that a window ending now still covers.
local covered = 1 - (now % window) / window
if count + before * covered >= tonumber(ARGV[1]) then return 'rate' end
redis.call('HSET', key, 'index', index, 'count', count + 1, 'before', before)
redis.call('PEXPIRE', key, 2 * window)
if redis.call('ZCARD', KEYS[1] .. ':waiting') >= tonumber(ARGV[3]) then return 'full' end
return 'ok'
