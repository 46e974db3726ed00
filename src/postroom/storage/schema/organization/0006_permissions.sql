-- What an entity lets others do with its mailbox and under its name: each right 0 or 1, and no row where there is none.
CREATE TABLE mailbox_permissions (
    organization   BIGINT NOT NULL,
    owner          TEXT NOT NULL,
    grantee        TEXT NOT NULL,
    full_access    BIGINT NOT NULL,
    send_as        BIGINT NOT NULL,
    send_on_behalf BIGINT NOT NULL,
    PRIMARY KEY (organization, owner, grantee)
) {clustered};

CREATE INDEX mailbox_permissions_by_grantee ON mailbox_permissions (organization, grantee, owner);
