-- Applications that stand for this server in IAM Identity Center; they belong to the account, not to an organization.
CREATE TABLE identity_applications (
    organization BIGINT NOT NULL DEFAULT 0,
    arn          TEXT NOT NULL,
    instance_arn TEXT NOT NULL,
    name         TEXT NOT NULL,
    created_at   DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (arn)
);
