-- Put pieces of a running operation's data under the fence, and prolong the lease. Chunks are noted, so that the next
-- claim deletes them when this operation never reaches its checkpoint; blobs (by hash) may stay.
-- KEYS: run, bundles or blobs, leased    ARGV: id, fence, lease in ms, 1 for chunks, (name, bytes)...
-- Gives 1, or 0 when the run is lost.
if not holds(KEYS[1], ARGV[2]) then return 0 end
redis.call('HINCRBY', KEYS[1], 'bytes', put_fields(KEYS[2], 5, #ARGV))
if ARGV[4] == '1' then
  local mid = redis.call('HGET', KEYS[1], 'mid') or ''
  for i = 5, #ARGV, 2 do mid = mid .. ' ' .. ARGV[i] end
  redis.call('HSET', KEYS[1], 'mid', mid)
end
local ends = now_ms() + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'lease', ends)
redis.call('ZADD', KEYS[3], ends, ARGV[1])
return 1
