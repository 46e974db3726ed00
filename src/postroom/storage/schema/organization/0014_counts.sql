-- How many users there are, kept with each that comes and goes: to count them would take longer the more there are.
INSERT INTO counters (organization, name, value)
SELECT organization, 'users', COUNT(*) FROM entities WHERE kind = 'USER' GROUP BY organization;
