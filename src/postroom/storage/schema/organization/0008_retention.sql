-- The organization's one retention policy; `rules` is a JSON array, read by `policy.retention`.
CREATE TABLE retention_policies (
    organization BIGINT NOT NULL,
    id           TEXT NOT NULL,
    name         TEXT NOT NULL,
    description  TEXT,
    rules        TEXT NOT NULL,
    PRIMARY KEY (organization)
) {clustered};

-- How far a mailbox's change log had come at a time: what has a lower modseq is older. A night without changes leaves no mark.
CREATE TABLE change_marks (
    organization BIGINT NOT NULL,
    mailbox      BIGINT NOT NULL,
    noted_at     DOUBLE PRECISION NOT NULL,
    modseq       BIGINT NOT NULL,
    PRIMARY KEY (organization, mailbox, noted_at)
) {clustered};

-- Tombstones up to this modseq are forgotten: who knows an older state compares what is there.
ALTER TABLE folders ADD COLUMN forgotten_modseq BIGINT NOT NULL DEFAULT 0;

-- Whether the owner has been told that the mailbox is almost full, and it has not been emptied since.
ALTER TABLE mailboxes ADD COLUMN warned BIGINT NOT NULL DEFAULT 0;
