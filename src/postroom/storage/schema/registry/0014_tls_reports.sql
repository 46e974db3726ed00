-- How the encryption of connections to other servers came out, for reports to the domains: each day (of UTC, in days since 1970), each recipients'
-- domain, and what was alike otherwise: `facts` as JSON, for which `digest` stands.
CREATE TABLE tls_outcomes (
    organization BIGINT NOT NULL DEFAULT 0,
    day          BIGINT NOT NULL,
    domain       TEXT NOT NULL,
    digest       TEXT NOT NULL,
    facts        TEXT NOT NULL,
    count        BIGINT NOT NULL,
    PRIMARY KEY (organization, day, domain, digest)
) {clustered};
