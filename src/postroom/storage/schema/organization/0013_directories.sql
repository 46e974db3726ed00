-- The directory of others that an organization has its users and groups from: one row at the most. `outcome` is empty when the last
-- synchronization went well.
CREATE TABLE outside_directory (
    organization BIGINT NOT NULL,
    directory    TEXT NOT NULL,
    tried_at     DOUBLE PRECISION,
    synced_at    DOUBLE PRECISION,
    outcome      TEXT NOT NULL,
    PRIMARY KEY (organization)
);

-- Users and groups from there: where they stand, a digest of what was read last, and since when they are gone. `verifier` is the hash of
-- the password that the directory has last confirmed, sealed under the organization's key.
CREATE TABLE outside_entries (
    organization BIGINT NOT NULL,
    entity       {key} NOT NULL,
    dn           TEXT NOT NULL,
    digest       TEXT NOT NULL,
    gone_at      DOUBLE PRECISION,
    verifier     {bytes},
    verified_at  DOUBLE PRECISION,
    PRIMARY KEY (organization, entity)
) {clustered};
