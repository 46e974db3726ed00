-- Until when a server wants to hear what users take for junk (epoch seconds); after that nothing is noted any more.
CREATE TABLE lessons_wanted (
    organization BIGINT NOT NULL,
    until_at     DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization)
) {clustered};

-- What users have said by moving letters into or out of Junk Email, and the filter has not been taught yet: of each content the last word. It is tried
-- again at a time (epoch seconds). A content that has gone meanwhile is not taught.
CREATE TABLE lessons (
    organization BIGINT NOT NULL,
    content      BIGINT NOT NULL,
    spam         BIGINT NOT NULL,
    noted_at     DOUBLE PRECISION NOT NULL,
    due_at       DOUBLE PRECISION NOT NULL,
    attempts     BIGINT NOT NULL,
    PRIMARY KEY (organization, content)
) {clustered};
CREATE INDEX lessons_by_due ON lessons (organization, due_at, content);
