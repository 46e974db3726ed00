-- The rules of a mailbox: scripts by their names, of which one at the most is active. `digest` tells one text from another.
CREATE TABLE sieve_scripts (
    organization BIGINT NOT NULL,
    mailbox      BIGINT NOT NULL,
    name         TEXT NOT NULL,
    active       BIGINT NOT NULL,
    digest       TEXT NOT NULL,
    size         BIGINT NOT NULL,
    script       TEXT NOT NULL,
    PRIMARY KEY (organization, mailbox, name)
) {clustered};
CREATE INDEX sieve_scripts_active ON sieve_scripts (organization, mailbox) WHERE active = 1;

-- Who has got an automatic reply from a mailbox, by digests of what was answered and of whom; until then (epoch seconds) no second one is sent.
CREATE TABLE sieve_replies (
    organization BIGINT NOT NULL,
    mailbox      BIGINT NOT NULL,
    reply        TEXT NOT NULL,
    until        BIGINT NOT NULL,
    PRIMARY KEY (organization, mailbox, reply)
) {clustered};
CREATE INDEX sieve_replies_by_time ON sieve_replies (organization, until);
