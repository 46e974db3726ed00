-- Which of a domain's DKIM keys signs, and which have signed before: those stay published for some days, and are then replaced. A domain
-- without a row that is signing signs with its first key.
CREATE TABLE dkim_selectors (
    organization BIGINT NOT NULL,
    domain       TEXT NOT NULL,
    selector     TEXT NOT NULL,
    state        TEXT NOT NULL,
    since        DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, domain, selector)
) {clustered};
