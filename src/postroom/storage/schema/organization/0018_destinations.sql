-- Where a queued copy goes next: the domain of its recipient, or a next hop of its own such as `gateway:ID`. `notice_at` is when its sender is to
-- hear of it again (epoch seconds); `held_by` and `held_for` who holds it back and why, '' when nobody does; `notify` and `original` what its sender
-- wants to hear of it (NOTIFY and ORCPT), '' when nothing was said.
ALTER TABLE queue_recipients ADD COLUMN destination {key} NOT NULL DEFAULT '';
ALTER TABLE queue_recipients ADD COLUMN notice_at DOUBLE PRECISION NOT NULL DEFAULT 0;
ALTER TABLE queue_recipients ADD COLUMN held_by TEXT NOT NULL DEFAULT '';
ALTER TABLE queue_recipients ADD COLUMN held_for TEXT NOT NULL DEFAULT '';
ALTER TABLE queue_recipients ADD COLUMN notify TEXT NOT NULL DEFAULT '';
ALTER TABLE queue_recipients ADD COLUMN original TEXT NOT NULL DEFAULT '';
UPDATE queue_recipients SET destination = domain;
DROP INDEX queue_recipients_by_due;
CREATE INDEX queue_recipients_by_destination ON queue_recipients (organization, destination, due_at, notice_at);

-- What its sender said with the envelope: RET and ENVID, '' when nothing, and REQUIRETLS; `lifetime` is after how many seconds it goes back.
ALTER TABLE queue_messages ADD COLUMN returns TEXT NOT NULL DEFAULT '';
ALTER TABLE queue_messages ADD COLUMN envelope_id TEXT NOT NULL DEFAULT '';
ALTER TABLE queue_messages ADD COLUMN require_tls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE queue_messages ADD COLUMN lifetime DOUBLE PRECISION NOT NULL DEFAULT 432000;

-- The destinations of queued copies, each as long as it has any. `due_at` is when one of them may be tried: no earlier than `blocked_until`, which is
-- above 0 while the destination as a whole is out of reach; since when, how often it was tried, when last, and what was the matter stand beside it.
-- `young_at` is when the last letter came for it since then. A carrier that has taken the destination to itself has it until `claimed_until`.
CREATE TABLE queue_destinations (
    organization  BIGINT NOT NULL,
    destination   {key} NOT NULL,
    due_at        DOUBLE PRECISION NOT NULL,
    claimed_until DOUBLE PRECISION NOT NULL,
    blocked_until DOUBLE PRECISION NOT NULL,
    since         DOUBLE PRECISION NOT NULL,
    young_at      DOUBLE PRECISION NOT NULL,
    tried_at      DOUBLE PRECISION NOT NULL,
    failures      BIGINT NOT NULL,
    status        TEXT NOT NULL,
    host          TEXT NOT NULL,
    reply         TEXT NOT NULL,
    PRIMARY KEY (organization, destination)
) {clustered};
CREATE INDEX queue_destinations_by_due ON queue_destinations (organization, due_at, destination);
INSERT INTO queue_destinations (organization, destination, due_at, claimed_until, blocked_until, since, young_at, tried_at, failures, status, host, reply)
    SELECT organization, destination, MIN(due_at), 0, 0, 0, 0, 0, 0, '', '', '' FROM queue_recipients GROUP BY organization, destination;
