-- Whether DNS has shown the record of a DKIM key under its domain, and when that was looked for last, in epoch seconds, 0 when never. It is
-- looked for only where it is not among the records that GetMailDomain lists.
ALTER TABLE dkim_keys ADD COLUMN seen BIGINT NOT NULL DEFAULT 0;
ALTER TABLE dkim_keys ADD COLUMN looked_at DOUBLE PRECISION NOT NULL DEFAULT 0;
