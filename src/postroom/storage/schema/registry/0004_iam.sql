-- Who may call the API: users with access keys, roles with sessions, and the policies of both. Names are unique whatever their case
-- (`folded`). Ids begin with AIDA (users), AROA (roles), AKIA (keys) and ASIA (sessions). Secrets must be readable to check
-- signatures; the registry's file is encrypted.
CREATE TABLE iam_users (
    organization BIGINT NOT NULL DEFAULT 0,
    id           TEXT NOT NULL,
    name         TEXT NOT NULL,
    folded       {key} NOT NULL,
    path         TEXT NOT NULL,
    created_at   DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX iam_users_name ON iam_users (folded);

CREATE TABLE iam_access_keys (
    organization      BIGINT NOT NULL DEFAULT 0,
    id                TEXT NOT NULL,
    secret            TEXT NOT NULL,
    user_id           TEXT NOT NULL,
    status            TEXT NOT NULL,
    created_at        DOUBLE PRECISION NOT NULL,
    last_used_at      DOUBLE PRECISION,
    last_used_service TEXT,
    PRIMARY KEY (id)
);
CREATE INDEX iam_access_keys_user ON iam_access_keys (user_id);

-- Inline policies; `owner` is the id of a user or a role.
CREATE TABLE iam_policies (
    organization BIGINT NOT NULL DEFAULT 0,
    owner        TEXT NOT NULL,
    name         {key} NOT NULL,
    document     TEXT NOT NULL,
    PRIMARY KEY (owner, name)
);

-- `trust` is the document that says who may assume the role; `trusted` the ids that the ARNs in it stood for when it was written (JSON), so
-- that a later user of the same name is not trusted.
CREATE TABLE iam_roles (
    organization    BIGINT NOT NULL DEFAULT 0,
    id              TEXT NOT NULL,
    name            TEXT NOT NULL,
    folded          {key} NOT NULL,
    path            TEXT NOT NULL,
    trust           TEXT NOT NULL,
    trusted         TEXT NOT NULL,
    description     TEXT,
    session_seconds BIGINT NOT NULL,
    created_at      DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX iam_roles_name ON iam_roles (folded);

-- Temporary credentials of a role, with a policy that may narrow them.
CREATE TABLE iam_sessions (
    organization BIGINT NOT NULL DEFAULT 0,
    id           TEXT NOT NULL,
    secret       TEXT NOT NULL,
    token        TEXT NOT NULL,
    role_id      TEXT NOT NULL,
    name         TEXT NOT NULL,
    policy       TEXT,
    created_at   DOUBLE PRECISION NOT NULL,
    expires_at   DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX iam_sessions_expiry ON iam_sessions (expires_at);
CREATE INDEX iam_sessions_role ON iam_sessions (role_id, expires_at);

-- Keys had a name and a policy each. Keys of one name with one policy become keys of one user. No key may do more than before: those of the
-- same name with another policy get a user of their own, whose name ends in the key's id.
INSERT INTO iam_users (id, name, folded, path, created_at)
SELECT owner, name, lower(name), '/', created_at
FROM (
    SELECT 'AIDA' || substr(k.id, 5) AS owner,
           CASE
               WHEN EXISTS (
                   SELECT 1 FROM access_keys e
                   WHERE e.session_token IS NULL AND lower(e.name) = lower(k.name)
                     AND (e.created_at < k.created_at OR (e.created_at = k.created_at AND e.id < k.id))
               ) THEN substr(k.name, 1, 43) || '.' || k.id
               ELSE k.name
           END AS name,
           k.created_at AS created_at
    FROM access_keys k
    WHERE k.session_token IS NULL
      AND NOT EXISTS (
          SELECT 1 FROM access_keys e
          WHERE e.session_token IS NULL AND lower(e.name) = lower(k.name) AND e.policy = k.policy
            AND (e.created_at < k.created_at OR (e.created_at = k.created_at AND e.id < k.id))
      )
) AS owners;

INSERT INTO iam_access_keys (id, secret, user_id, status, created_at, last_used_at)
SELECT k.id, k.secret,
       (
           SELECT 'AIDA' || substr(e.id, 5) FROM access_keys e
           WHERE e.session_token IS NULL AND lower(e.name) = lower(k.name) AND e.policy = k.policy
           ORDER BY e.created_at, e.id LIMIT 1
       ),
       k.status, k.created_at, k.last_used_at
FROM access_keys k
WHERE k.session_token IS NULL;

INSERT INTO iam_policies (owner, name, document)
SELECT u.id, 'postroom', k.policy
FROM iam_users u JOIN access_keys k ON k.id = 'AKIA' || substr(u.id, 5);

DROP TABLE access_keys;
