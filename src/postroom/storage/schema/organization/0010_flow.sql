-- Whether the policies that senders publish by DMARC are enforced on mail that comes in; without a row they are.
CREATE TABLE inbound_dmarc (
    organization BIGINT NOT NULL,
    enforced     BIGINT NOT NULL,
    PRIMARY KEY (organization)
) {clustered};

-- Where CloudWatch gets the organization's mail events, and the role under which they are sent there, '' for the server's own.
CREATE TABLE email_monitoring (
    organization BIGINT NOT NULL,
    log_group    TEXT NOT NULL,
    role         TEXT NOT NULL,
    PRIMARY KEY (organization)
) {clustered};

-- Letters that came in or were submitted at a time (epoch seconds), each by a random number; a row keeps its contents alive. `replaced_by` is
-- the content that was put in the place of the letter's own. One tree alone, as every letter pays for it.
CREATE TABLE flow_messages (
    organization BIGINT NOT NULL,
    content      BIGINT NOT NULL,
    number       BIGINT NOT NULL,
    direction    TEXT NOT NULL,
    passed_at    BIGINT NOT NULL,
    replaced_by  BIGINT,
    PRIMARY KEY (organization, content, number)
) {clustered};
CREATE INDEX flow_messages_by_replacement ON flow_messages (organization, replaced_by) WHERE replaced_by IS NOT NULL;

-- The id of the letter in the message flow, which the events of its copies bear; '' for one that was queued by an earlier version.
ALTER TABLE queue_messages ADD COLUMN trace TEXT NOT NULL DEFAULT '';
