-- The DKIM keys of mail domains, one under each selector. The private one is PKCS#8, sealed under the organization's key;
-- the public one is what stands in DNS behind p=.
CREATE TABLE dkim_keys (
    organization BIGINT NOT NULL,
    domain       TEXT NOT NULL,
    selector     TEXT NOT NULL,
    private_key  {bytes} NOT NULL,
    public_key   TEXT NOT NULL,
    created_at   DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, domain, selector)
) {clustered};

-- Mail domains whose records are still to be written into a hosted zone of Route 53. A row goes when they are there.
CREATE TABLE zone_writes (
    organization BIGINT NOT NULL,
    domain       TEXT NOT NULL,
    zone         TEXT NOT NULL,
    attempts     BIGINT NOT NULL,
    due_at       DOUBLE PRECISION NOT NULL,
    since        DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, domain)
) {clustered};

-- Who is asked when somebody of another domain is free: `target` is an endpoint of EWS or the ARN of a Lambda function. The
-- password is sealed under the organization's key.
CREATE TABLE availability_configurations (
    organization BIGINT NOT NULL,
    domain       TEXT NOT NULL,
    provider     TEXT NOT NULL,
    target       TEXT NOT NULL,
    username     TEXT NOT NULL,
    password     {bytes} NOT NULL,
    created_at   DOUBLE PRECISION NOT NULL,
    modified_at  DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, domain)
) {clustered};
