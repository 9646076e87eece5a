-- Add what a process has counted, once however often it is asked.
-- KEYS: counters, number of the process's last batch
-- ARGV: number of this batch, how long its number is remembered in seconds, (counter and labels, by)...
if redis.call('GET', KEYS[2]) == ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
for i = 3, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1
