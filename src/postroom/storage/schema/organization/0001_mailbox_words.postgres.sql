-- The searchable text of contents, casefolded.
CREATE TABLE words (
    organization BIGINT NOT NULL,
    id BIGINT NOT NULL,
    head TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (organization, id)
);
