-- What strangers' letters came to by DMARC, for reports to the domains: each day (of UTC, in days since 1970) and each domain whose policy it was
-- has its record, the addresses of rua= (one a line), and how many kinds of letters were told apart.
CREATE TABLE dmarc_domains (
    organization BIGINT NOT NULL,
    day          BIGINT NOT NULL,
    domain       TEXT NOT NULL,
    record       TEXT NOT NULL,
    addresses    TEXT NOT NULL,
    kinds        BIGINT NOT NULL,
    PRIMARY KEY (organization, day, domain)
) {clustered};

-- Letters that were alike: `facts` is what a report says of them, as JSON, and `digest` stands for it.
CREATE TABLE dmarc_rows (
    organization BIGINT NOT NULL,
    day          BIGINT NOT NULL,
    domain       TEXT NOT NULL,
    digest       TEXT NOT NULL,
    facts        TEXT NOT NULL,
    count        BIGINT NOT NULL,
    PRIMARY KEY (organization, day, domain, digest)
) {clustered};

-- Reports of TLS that have been queued here, while the outcomes they were made of still stand in the registry.
CREATE TABLE tls_reports_sent (
    organization BIGINT NOT NULL,
    day          BIGINT NOT NULL,
    domain       TEXT NOT NULL,
    PRIMARY KEY (organization, day, domain)
) {clustered};
