-- Which mobile devices may synchronize. What a rule asks for is one JSON text.
CREATE TABLE device_rules (
    organization BIGINT NOT NULL,
    id           TEXT NOT NULL,
    name         TEXT NOT NULL,
    effect       TEXT NOT NULL,
    description  TEXT,
    conditions   TEXT NOT NULL,
    created_at   DOUBLE PRECISION NOT NULL,
    modified_at  DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, id)
) {clustered};

-- Organizations start with the rule that allows every device. Those that are here already have it from now on: each has at least its
-- test domain. One whose making was interrupted before that gets it with the rest of its first rows.
INSERT INTO device_rules (organization, id, name, effect, description, conditions, created_at, modified_at)
    SELECT DISTINCT organization, 'default', 'default', 'ALLOW', 'Default WorkMail Rule', '{}', 0.0, 0.0 FROM domains;

-- What is decided about one device of one user, whatever the rules say. `device` is the id as ids are compared, `spelling` as it was given.
CREATE TABLE device_overrides (
    organization BIGINT NOT NULL,
    entity       {key} NOT NULL,
    device       {key} NOT NULL,
    spelling     TEXT NOT NULL,
    effect       TEXT NOT NULL,
    description  TEXT,
    created_at   DOUBLE PRECISION NOT NULL,
    modified_at  DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, entity, device)
) {clustered};

CREATE INDEX device_overrides_by_device ON device_overrides (organization, device, entity);

-- Who may act as whom in EWS. The rules of a role are one JSON array.
CREATE TABLE impersonation_roles (
    organization BIGINT NOT NULL,
    id           {key} NOT NULL,
    name         TEXT NOT NULL,
    type         TEXT NOT NULL,
    description  TEXT,
    rules        TEXT NOT NULL,
    created_at   DOUBLE PRECISION NOT NULL,
    modified_at  DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, id)
) {clustered};

-- Living tokens of roles; a token itself is kept nowhere.
CREATE TABLE impersonation_tokens (
    organization BIGINT NOT NULL,
    digest       {bytes} NOT NULL,
    role         {key} NOT NULL,
    expires_at   DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, digest)
) {clustered};

CREATE INDEX impersonation_tokens_by_role ON impersonation_tokens (organization, role, expires_at);
CREATE INDEX impersonation_tokens_by_expiry ON impersonation_tokens (organization, expires_at);
