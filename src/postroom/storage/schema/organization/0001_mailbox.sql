-- Integers handed out one by one: mailbox, folder, item, content.
CREATE TABLE counters (
    organization BIGINT NOT NULL,
    name TEXT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (organization, name)
) {clustered};

-- `modseq` is the head of the mailbox's change log; a parked mailbox has `parked_at` and waits 30 days.
CREATE TABLE mailboxes (
    organization BIGINT NOT NULL,
    id BIGINT NOT NULL,
    owner TEXT NOT NULL,
    quota_mb BIGINT NOT NULL,
    used_bytes BIGINT NOT NULL DEFAULT 0,
    modseq BIGINT NOT NULL DEFAULT 1,
    created_at DOUBLE PRECISION NOT NULL,
    parked_at DOUBLE PRECISION,
    PRIMARY KEY (organization, id)
) {clustered};
CREATE UNIQUE INDEX mailboxes_owner ON mailboxes (organization, owner);

-- `role` is the folder's special use; `holds` the kind of item it is for; `recent_from` the first UID no IMAP session has claimed as \Recent;
-- `flagged_modseq` that of the last change of flags: who knows it need not look for changes among the items that were there.
CREATE TABLE folders (
    organization BIGINT NOT NULL,
    id BIGINT NOT NULL,
    mailbox BIGINT NOT NULL,
    parent BIGINT,
    name TEXT NOT NULL,
    role TEXT,
    holds TEXT NOT NULL DEFAULT 'message',
    uidvalidity BIGINT NOT NULL,
    uidnext BIGINT NOT NULL DEFAULT 1,
    recent_from BIGINT NOT NULL DEFAULT 1,
    modseq BIGINT NOT NULL,
    flagged_modseq BIGINT NOT NULL DEFAULT 0,
    total BIGINT NOT NULL DEFAULT 0,
    unseen BIGINT NOT NULL DEFAULT 0,
    size BIGINT NOT NULL DEFAULT 0,
    subscribed BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (organization, id)
) {clustered};
CREATE UNIQUE INDEX folders_name ON folders (organization, mailbox, COALESCE(parent, 0), name);

-- Subscriptions outlive their folders (RFC 9051 §6.3.7), so those to absent names are kept apart.
CREATE TABLE absent_subscriptions (
    organization BIGINT NOT NULL,
    mailbox BIGINT NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (organization, mailbox, path)
) {clustered};

-- One row an item, kept narrow: STORE over a large folder rewrites these rows.
CREATE TABLE items (
    organization BIGINT NOT NULL,
    folder BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    flags BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    content BIGINT NOT NULL,
    size BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    saved_at BIGINT NOT NULL,
    created_modseq BIGINT NOT NULL,
    item BIGINT NOT NULL,
    kind TEXT NOT NULL DEFAULT 'message',
    PRIMARY KEY (organization, folder, uid)
) {clustered};
CREATE INDEX items_content ON items (organization, content);
CREATE UNIQUE INDEX items_item ON items (organization, item);

-- What is gone, for clients that come back with an older modseq.
CREATE TABLE tombstones (
    organization BIGINT NOT NULL,
    folder BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    item BIGINT NOT NULL,
    PRIMARY KEY (organization, folder, modseq, uid)
) {clustered};

-- Folders that are gone, likewise.
CREATE TABLE folder_tombstones (
    organization BIGINT NOT NULL,
    mailbox BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    folder BIGINT NOT NULL,
    PRIMARY KEY (organization, mailbox, modseq, folder)
) {clustered};

CREATE TABLE keywords (
    organization BIGINT NOT NULL,
    mailbox BIGINT NOT NULL,
    bit BIGINT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (organization, mailbox, bit)
) {clustered};

-- What one content (an immutable run of bytes) says, computed once; however many items refer to it.
CREATE TABLE contents (
    organization BIGINT NOT NULL,
    id BIGINT NOT NULL,
    hash {bytes} NOT NULL,
    kind TEXT NOT NULL DEFAULT 'message',
    size BIGINT NOT NULL,
    file TEXT,
    codec BIGINT NOT NULL DEFAULT 0,
    created_at DOUBLE PRECISION NOT NULL,
    sent_at DOUBLE PRECISION,
    sent_wall DOUBLE PRECISION,
    envelope {bytes},
    structure {bytes},
    parts {bytes},
    subject TEXT,
    sender TEXT,
    "to" TEXT,
    cc TEXT,
    bcc TEXT,
    message_id TEXT,
    in_reply_to TEXT,
    refs TEXT,
    attachments BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (organization, id)
) {clustered};
CREATE UNIQUE INDEX contents_hash ON contents (organization, hash);
CREATE INDEX contents_file ON contents (organization, file) WHERE file IS NOT NULL;

-- Contents whose words are not in the index yet, or not all of them (`partial`): a search reads these themselves.
CREATE TABLE unindexed (
    organization BIGINT NOT NULL,
    content BIGINT NOT NULL,
    partial BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (organization, content)
) {clustered};

-- The bytes of small contents; large ones are files.
CREATE TABLE blobs (
    organization BIGINT NOT NULL,
    id {blob_key},
    data {bytes} NOT NULL{blob_constraint}
);

-- Leases of the organization's own jobs; on PostgreSQL the registry's table is this one.
CREATE TABLE IF NOT EXISTS leases (
    organization BIGINT NOT NULL,
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, name)
);
