-- API principals: an access key of a named user, with its IAM policy document. The secret must be readable to check
-- signatures; the registry's file is encrypted. `session_token` is set for keys that come with one.
CREATE TABLE access_keys (
    organization  BIGINT NOT NULL DEFAULT 0,
    id            TEXT NOT NULL,
    secret        TEXT NOT NULL,
    session_token TEXT,
    name          TEXT NOT NULL,
    status        TEXT NOT NULL,
    policy        TEXT NOT NULL,
    created_at    DOUBLE PRECISION NOT NULL,
    last_used_at  DOUBLE PRECISION,
    PRIMARY KEY (id)
);

-- Secrets of the API itself, made at the first start, such as the one that seals page tokens.
CREATE TABLE api_secrets (
    organization BIGINT NOT NULL DEFAULT 0,
    name         TEXT NOT NULL,
    secret       {bytes} NOT NULL,
    PRIMARY KEY (name)
);

-- Answers to requests with a client token. Registry and organizations have the table under one name, and in PostgreSQL
-- it is one table: in the registry's part stand the operations that decide there.
CREATE TABLE IF NOT EXISTS client_tokens (
    organization BIGINT NOT NULL,
    account      TEXT NOT NULL,
    operation    TEXT NOT NULL,
    token        TEXT NOT NULL,
    input        TEXT NOT NULL,
    answer       TEXT NOT NULL,
    expires_at   DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, account, operation, token)
) {clustered};
CREATE INDEX IF NOT EXISTS client_tokens_expiry ON client_tokens (organization, expires_at);
