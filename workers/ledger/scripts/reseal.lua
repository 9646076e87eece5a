-- Replace a sealed text, if it is still the one that was read; it expires when it would have.
-- KEYS: text    ARGV: sealed text, new sealed text
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
