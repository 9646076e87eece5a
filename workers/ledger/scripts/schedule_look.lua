-- Scenarios that are due.    KEYS: index of due scenarios    ARGV: most of them    Gives: now, (id, due instant)...
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', KEYS[1], 0, now, 'WITHSCORES', 'LIMIT', 0, ARGV[1])
return {now, unpack(due)}
