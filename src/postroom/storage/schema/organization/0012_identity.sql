-- How users prove who they are, where an identity provider has a say in it: one row at the most. `tokens` is ACTIVE or INACTIVE.
CREATE TABLE identity_provider (
    organization    BIGINT NOT NULL,
    mode            TEXT NOT NULL,
    instance_arn    TEXT NOT NULL,
    application_arn TEXT NOT NULL,
    tokens          TEXT NOT NULL,
    token_days      BIGINT,
    PRIMARY KEY (organization)
);

-- What users show in place of a password; a token itself is kept nowhere. Its scopes are one JSON array. `expires_at` is NULL for one
-- that lasts until it is deleted.
CREATE TABLE access_tokens (
    organization BIGINT NOT NULL,
    id           {key} NOT NULL,
    digest       {bytes} NOT NULL,
    entity       {key} NOT NULL,
    name         TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    created_at   DOUBLE PRECISION NOT NULL,
    expires_at   DOUBLE PRECISION,
    used_at      DOUBLE PRECISION,
    PRIMARY KEY (organization, id)
) {clustered};

CREATE UNIQUE INDEX access_tokens_by_digest ON access_tokens (organization, digest);
CREATE INDEX access_tokens_by_entity ON access_tokens (organization, entity, id);
CREATE INDEX access_tokens_by_expiry ON access_tokens (organization, expires_at) WHERE expires_at IS NOT NULL;
