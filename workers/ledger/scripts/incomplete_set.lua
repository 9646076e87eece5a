-- Change by hand what an incomplete execution waits for.
-- KEYS: record    ARGV: prefix, id, new status or 'dropped', statuses that allow it (separated by commas)
-- Gives the status before, or '' when there is no such record. Nothing changes when the status does not allow it.
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return '' end
if not string.find(',' .. ARGV[4] .. ',', ',' .. status .. ',', 1, true) then return status end
if ARGV[3] ~= 'dropped' then
  set_record(ARGV[1], ARGV[2], ARGV[3], now_ms())
  return status
end
set_record(ARGV[1], ARGV[2], 'resolved')
redis.call('DEL', KEYS[1])
redis.call('ZREM', ARGV[1] .. ':incompletes', ARGV[2])
return status
