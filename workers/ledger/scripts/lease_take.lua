-- Take the lease for renewing a connection.
-- KEYS: record, lease    ARGV: owner's token, lease in ms, expected version
-- Gives a word: 'ok'; 'busy' and for how many ms at most; 'moved' when the record has another version; 'lost' when a
-- holder died after it had sent something that may not be sent twice (the record is marked then); 'gone'.
local found = redis.call('HMGET', KEYS[1], 'version', 'reusable')
if not found[1] then return {'gone'} end
local now = now_ms()
local lease = redis.call('HMGET', KEYS[2], 'owner', 'ends', 'sent')
if lease[1] and lease[1] ~= ARGV[1] then
  local left = tonumber(lease[2]) - now
  if left > 0 then return {'busy', left} end
  if lease[3] == '1' and found[2] ~= '1' then
    -- Its answer may still come: then it is taken all the same (lease_put).
    redis.call('HSET', KEYS[1], 'state', 'needs_reauthorization', 'version', tonumber(found[1]) + 1, 'changed', now,
      'lost', lease[1])
    redis.call('DEL', KEYS[2])
    return {'lost'}
  end
end
if tonumber(found[1]) ~= tonumber(ARGV[3]) then return {'moved'} end
redis.call('HSET', KEYS[2], 'owner', ARGV[1], 'ends', now + tonumber(ARGV[2]), 'sent', '0')
return {'ok'}
