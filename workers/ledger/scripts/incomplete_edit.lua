-- Replace what the retry of an incomplete execution begins with.
-- KEYS: record
-- ARGV: prefix, size, most bytes of its scenario, number of fields, (name, value)..., number of chunks, (name, bytes)...,
--       number of blob pieces, (name, bytes)...
-- Gives 'ok'; '' when there is no such record, 'full' when it would take too much, else the status that does not allow it.
local found = redis.call('HMGET', KEYS[1], 'status', 'size', 'scenario')
if not found[1] then return '' end
if found[1] ~= 'unresolved' and found[1] ~= 'pending' then return found[1] end
local bytes = ARGV[1] .. ':scenario:' .. found[3] .. ':incompletes:bytes'
local grown = tonumber(ARGV[2]) - tonumber(found[2])
if grown > 0 and tonumber(redis.call('GET', bytes) or 0) + grown > tonumber(ARGV[3]) then return 'full' end
local fields = tonumber(ARGV[4])
redis.call('HSET', KEYS[1], 'size', ARGV[2], unpack(ARGV, 5, 4 + 2 * fields))
local from = 5 + 2 * fields
for _, part in ipairs({':bundles', ':blobs'}) do
  local many = tonumber(ARGV[from])
  redis.call('DEL', KEYS[1] .. part)
  put_fields(KEYS[1] .. part, from + 1, from + 2 * many)
  from = from + 1 + 2 * many
end
redis.call('INCRBY', bytes, grown)
return 'ok'
