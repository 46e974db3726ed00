-- Users, groups and resources. Lists walk in order of id, the order of the table itself, so that a page of a
-- hundred touches neighbouring rows however many there are; the other indexes each serve one filter.
CREATE TABLE entities (
    organization     BIGINT NOT NULL,
    id               TEXT NOT NULL,
    kind             TEXT NOT NULL,
    name             TEXT NOT NULL,
    name_key         {key} NOT NULL,
    display_name     TEXT NOT NULL,
    display_key      {key} NOT NULL,
    state            {key} NOT NULL,
    email            TEXT,
    email_key        {key},
    role             TEXT NOT NULL,
    hidden           BIGINT NOT NULL,
    created_at       DOUBLE PRECISION NOT NULL,
    enabled_at       DOUBLE PRECISION,
    disabled_at      DOUBLE PRECISION,
    provisioned_at   DOUBLE PRECISION,
    deprovisioned_at DOUBLE PRECISION,
    identity_user    {key},
    PRIMARY KEY (organization, id)
) {clustered};

CREATE UNIQUE INDEX entities_by_name ON entities (organization, name_key);
CREATE INDEX entities_by_kind ON entities (organization, kind, id);
CREATE INDEX entities_by_state ON entities (organization, kind, state, id);
CREATE INDEX entities_by_kind_and_name ON entities (organization, kind, name_key, id);
CREATE INDEX entities_by_display_name ON entities (organization, kind, display_key, id);
CREATE INDEX entities_by_email ON entities (organization, kind, email_key, id) WHERE email_key IS NOT NULL;
CREATE INDEX entities_by_identity ON entities (organization, kind, identity_user, id) WHERE identity_user IS NOT NULL;

-- What a user says of herself; a row only when something is said.
CREATE TABLE profiles (
    organization BIGINT NOT NULL,
    entity       TEXT NOT NULL,
    first_name   TEXT NOT NULL,
    last_name    TEXT NOT NULL,
    initials     TEXT NOT NULL,
    telephone    TEXT NOT NULL,
    street       TEXT NOT NULL,
    job_title    TEXT NOT NULL,
    city         TEXT NOT NULL,
    company      TEXT NOT NULL,
    zip_code     TEXT NOT NULL,
    department   TEXT NOT NULL,
    country      TEXT NOT NULL,
    office       TEXT NOT NULL,
    PRIMARY KEY (organization, entity)
) {clustered};

CREATE TABLE resources (
    organization      BIGINT NOT NULL,
    entity            TEXT NOT NULL,
    type              TEXT NOT NULL,
    description       TEXT,
    auto_accept       BIGINT NOT NULL,
    decline_recurring BIGINT NOT NULL,
    decline_conflicts BIGINT NOT NULL,
    PRIMARY KEY (organization, entity)
) {clustered};

CREATE TABLE credentials (
    organization BIGINT NOT NULL,
    entity       TEXT NOT NULL,
    hash         TEXT NOT NULL,
    changed_at   DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, entity)
) {clustered};

-- Every address of every registered entity, primary or alias, under the form in which addresses are compared.
CREATE TABLE addresses (
    organization BIGINT NOT NULL,
    address      TEXT NOT NULL,
    spelling     TEXT NOT NULL,
    domain       TEXT NOT NULL,
    entity       TEXT NOT NULL,
    PRIMARY KEY (organization, address)
) {clustered};

CREATE INDEX addresses_by_entity ON addresses (organization, entity, address);
CREATE INDEX addresses_by_domain ON addresses (organization, domain, address);

CREATE TABLE members (
    organization BIGINT NOT NULL,
    collective   TEXT NOT NULL,
    member       TEXT NOT NULL,
    PRIMARY KEY (organization, collective, member)
) {clustered};

CREATE INDEX members_by_member ON members (organization, member, collective);

CREATE TABLE delegates (
    organization BIGINT NOT NULL,
    resource     TEXT NOT NULL,
    delegate     TEXT NOT NULL,
    PRIMARY KEY (organization, resource, delegate)
) {clustered};

CREATE INDEX delegates_by_delegate ON delegates (organization, delegate, resource);

CREATE TABLE domains (
    organization    BIGINT NOT NULL,
    domain          TEXT NOT NULL,
    test            BIGINT NOT NULL,
    ownership       TEXT NOT NULL,
    dkim            TEXT NOT NULL,
    ownership_token TEXT NOT NULL,
    dkim_tokens     TEXT NOT NULL,
    registered_at   DOUBLE PRECISION NOT NULL,
    verified_at     DOUBLE PRECISION,
    PRIMARY KEY (organization, domain)
) {clustered};

CREATE TABLE tags (
    organization BIGINT NOT NULL,
    name         TEXT NOT NULL,
    value        TEXT NOT NULL,
    PRIMARY KEY (organization, name)
) {clustered};

-- Lists in a condition are JSON arrays.
CREATE TABLE access_rules (
    organization BIGINT NOT NULL,
    name         TEXT NOT NULL,
    effect       TEXT NOT NULL,
    description  TEXT NOT NULL,
    conditions   TEXT NOT NULL,
    created_at   DOUBLE PRECISION NOT NULL,
    modified_at  DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, name)
) {clustered};
