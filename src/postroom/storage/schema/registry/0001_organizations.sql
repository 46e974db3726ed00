-- Organizations: `number` is the storage scope, `wrapped_key` the data key under `key_arn` (NULL once shredded).
CREATE TABLE organizations (
    organization BIGINT NOT NULL DEFAULT 0,
    number BIGINT NOT NULL,
    id TEXT NOT NULL,
    alias TEXT NOT NULL,
    state TEXT NOT NULL,
    directory_id TEXT NOT NULL,
    directory_type TEXT NOT NULL,
    default_domain TEXT NOT NULL,
    key_arn TEXT,
    wrapped_key {bytes},
    created_at DOUBLE PRECISION NOT NULL,
    completed_at DOUBLE PRECISION,
    deleted_at DOUBLE PRECISION,
    error_message TEXT,
    PRIMARY KEY (number)
);
CREATE UNIQUE INDEX organizations_id ON organizations (id);
CREATE UNIQUE INDEX organizations_alias ON organizations (lower(alias)) WHERE state <> 'Deleted';

-- Which organization has claimed a mail domain; the domain in its A-label form, lower case. Mail is routed to it,
-- and users sign in under it, only once the claim is verified: until then anybody might have claimed it.
CREATE TABLE domain_claims (
    organization BIGINT NOT NULL DEFAULT 0,
    domain TEXT NOT NULL,
    number BIGINT NOT NULL,
    verified BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (domain)
);
CREATE INDEX domain_claims_number ON domain_claims (number);

-- Work with no waiting client: who runs it, until when.
CREATE TABLE leases (
    organization BIGINT NOT NULL,
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, name)
);
