-- Messages under way. `content` keeps the bytes alive; the row goes with the last of its recipients. `sender` is
-- the reverse-path, '' for none; `author` the id of the entity that is told of failure, '' when a stranger sent it.
CREATE TABLE queue_messages (
    organization BIGINT NOT NULL,
    id           BIGINT NOT NULL,
    content      BIGINT NOT NULL,
    size         BIGINT NOT NULL,
    sender       TEXT NOT NULL,
    author       TEXT NOT NULL,
    eight_bit    BIGINT NOT NULL,
    international BIGINT NOT NULL,
    pending      BIGINT NOT NULL,
    queued_at    DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, id)
) {clustered};
CREATE INDEX queue_messages_by_content ON queue_messages (organization, content);

-- One row a (message, recipient). It waits until `due_at`; while a carrier has it, `holder` is its name and
-- `due_at` the end of its lease, so that an abandoned row comes due by itself.
CREATE TABLE queue_recipients (
    organization BIGINT NOT NULL,
    id           BIGINT NOT NULL,
    message      BIGINT NOT NULL,
    recipient    TEXT NOT NULL,
    domain       TEXT NOT NULL,
    attempts     BIGINT NOT NULL,
    due_at       DOUBLE PRECISION NOT NULL,
    holder       TEXT NOT NULL,
    last_reply   TEXT NOT NULL,
    warned       BIGINT NOT NULL,
    PRIMARY KEY (organization, id)
) {clustered};
CREATE INDEX queue_recipients_by_due ON queue_recipients (organization, due_at, id);
CREATE INDEX queue_recipients_by_message ON queue_recipients (organization, message);

-- Which queued copies of other scopes have been delivered here, so that a hand-over that is repeated after a
-- crash delivers nothing twice.
CREATE TABLE handovers (
    organization BIGINT NOT NULL,
    source       BIGINT NOT NULL,
    recipient    BIGINT NOT NULL,
    done_at      DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, source, recipient)
) {clustered};
CREATE INDEX handovers_by_age ON handovers (organization, done_at);

-- How many recipients an entity has written to on a day (days since 1970, UTC), by kind: 'external' or 'test'.
CREATE TABLE sending (
    organization BIGINT NOT NULL,
    entity       TEXT NOT NULL,
    day          BIGINT NOT NULL,
    kind         TEXT NOT NULL,
    recipients   BIGINT NOT NULL,
    PRIMARY KEY (organization, entity, day, kind)
) {clustered};
