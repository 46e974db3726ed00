-- What other domains ask of senders by MTA-STS; `patterns` are host names, a space between. Times are epoch seconds. All organizations share it.
CREATE TABLE sts_policies (
    domain     TEXT NOT NULL PRIMARY KEY,
    id         TEXT NOT NULL,
    mode       TEXT NOT NULL,
    patterns   TEXT NOT NULL,
    max_age    BIGINT NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    refresh_at DOUBLE PRECISION NOT NULL,
    used_at    DOUBLE PRECISION NOT NULL
);
CREATE INDEX sts_policies_by_refresh ON sts_policies (refresh_at);
CREATE INDEX sts_policies_by_expiry ON sts_policies (expires_at);
CREATE INDEX sts_policies_by_use ON sts_policies (used_at);
