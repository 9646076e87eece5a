-- Prolong the leases of all runs that a process holds.
-- KEYS: leased, runs...    ARGV: lease in ms, (id, fence)...
-- Gives the ids that are lost.
local lost, ends = {}, now_ms() + tonumber(ARGV[1])
for i = 2, #KEYS do
  local id, fence = ARGV[2 * i - 2], ARGV[2 * i - 1]
  if holds(KEYS[i], fence) then
    redis.call('HSET', KEYS[i], 'lease', ends)
    redis.call('ZADD', KEYS[1], ends, id)
  else
    lost[#lost + 1] = id
  end
end
return lost
