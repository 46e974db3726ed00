-- What was found out about a stranger's letter when it came, so that whoever takes it later judges it alike; '' for one of our own.
ALTER TABLE queue_messages ADD COLUMN assessment TEXT NOT NULL DEFAULT '';

-- Rules of the organization for letters that come in or go out; senders and destinations are patterns, each a JSON list.
CREATE TABLE flow_rules (
    organization BIGINT NOT NULL,
    direction    TEXT NOT NULL,
    name         TEXT NOT NULL,
    action       TEXT NOT NULL,
    message      TEXT NOT NULL,
    senders      TEXT NOT NULL,
    destinations TEXT NOT NULL,
    PRIMARY KEY (organization, direction, name)
) {clustered};

-- Where records of all letters go, where is told that one could not be delivered, and from whom they come.
CREATE TABLE journaling (
    organization BIGINT NOT NULL,
    journal      TEXT NOT NULL,
    report       TEXT NOT NULL,
    sender       TEXT NOT NULL,
    PRIMARY KEY (organization)
) {clustered};
