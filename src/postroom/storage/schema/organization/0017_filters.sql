-- Who was told to come again later, by a digest of network, sender and recipient, and networks that did come again, by a digest of theirs
-- (`passed`); times in epoch seconds.
CREATE TABLE greylist (
    organization BIGINT NOT NULL,
    key          TEXT NOT NULL,
    passed       BIGINT NOT NULL,
    first_at     BIGINT NOT NULL,
    seen_at      BIGINT NOT NULL,
    PRIMARY KEY (organization, key)
) {clustered};
CREATE INDEX greylist_by_time ON greylist (organization, passed, seen_at);
