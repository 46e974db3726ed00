-- How many recipients elsewhere each user has written to: for each day (days since 1970, UTC) the last hour in which there were any (hours since
-- 1970), how many there were in it, and how many in the busiest of the hours of that day before it.
CREATE TABLE sending_hours (
    organization BIGINT NOT NULL,
    entity       TEXT NOT NULL,
    day          BIGINT NOT NULL,
    hour         BIGINT NOT NULL,
    recipients   BIGINT NOT NULL,
    busiest      BIGINT NOT NULL,
    PRIMARY KEY (organization, entity, day)
) {clustered};
CREATE INDEX sending_hours_by_day ON sending_hours (organization, day);
CREATE INDEX sending_by_day ON sending (organization, day);

-- Users whose mail for others is held back (trusted_until 0), and those who may write to as many as they like until then; epoch seconds. `letters`
-- and `octets` are what is held back.
CREATE TABLE watched_senders (
    organization  BIGINT NOT NULL,
    entity        TEXT NOT NULL,
    since         BIGINT NOT NULL,
    trusted_until BIGINT NOT NULL,
    reason        TEXT NOT NULL,
    letters       BIGINT NOT NULL,
    octets        BIGINT NOT NULL,
    PRIMARY KEY (organization, entity)
) {clustered};

CREATE INDEX queue_recipients_held ON queue_recipients (organization, held_by, id) WHERE held_by <> '';
