-- Tell a person something about a scenario.
-- ARGV: first part of all keys, scenario, kind, message, run or ''
notify(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
return 1
