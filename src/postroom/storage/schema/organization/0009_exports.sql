-- Exports of mailboxes. One that is running, or whose `upload` is not yet tidied away, is worked on by the process that has it (`holder`)
-- until `due_at`, or waits until then for one to take it. `closing`: its parts are being made one object, too late to cancel.
-- `failures`: how often in a row the bucket was not reached; `restarts`: how often the upload was lost.
CREATE TABLE exports (
    organization BIGINT NOT NULL,
    id           TEXT NOT NULL,
    entity       TEXT NOT NULL,
    mailbox      BIGINT NOT NULL,
    description  TEXT,
    role_arn     TEXT NOT NULL,
    key_arn      TEXT NOT NULL,
    bucket       TEXT NOT NULL,
    prefix       TEXT NOT NULL,
    path         TEXT NOT NULL,
    state        TEXT NOT NULL,
    progress     BIGINT NOT NULL,
    error        TEXT,
    started_at   DOUBLE PRECISION NOT NULL,
    ended_at     DOUBLE PRECISION,
    upload       TEXT,
    closing      BIGINT NOT NULL,
    failures     BIGINT NOT NULL,
    restarts     BIGINT NOT NULL,
    holder       TEXT NOT NULL,
    due_at       DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, id)
) {clustered};
CREATE INDEX exports_by_start ON exports (organization, started_at, id);

-- What an export goes through: folders with their names in the archive, and which UIDs (MessagePack).
CREATE TABLE export_plans (
    organization BIGINT NOT NULL,
    export       TEXT NOT NULL,
    plan         {bytes} NOT NULL,
    PRIMARY KEY (organization, export)
);

-- The parts that have arrived: what each holds (`entries`, MessagePack), and where the next one begins: `stage` of the plan, after `uid`.
CREATE TABLE export_parts (
    organization BIGINT NOT NULL,
    export       TEXT NOT NULL,
    number       BIGINT NOT NULL,
    tag          TEXT NOT NULL,
    digest       {bytes} NOT NULL,
    length       BIGINT NOT NULL,
    stage        BIGINT NOT NULL,
    uid          BIGINT NOT NULL,
    messages     BIGINT NOT NULL,
    skipped      BIGINT NOT NULL,
    unpacked     BIGINT NOT NULL,
    entries      {bytes} NOT NULL,
    PRIMARY KEY (organization, export, number)
);
