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
