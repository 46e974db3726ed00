-- What a rule calls, or through which gateway it sends; whether its letters wait for the answer, for how many minutes it is called again, and what is
-- done with them when there is none. `configured` says that the configuration file says so, and not a command.
ALTER TABLE flow_rules ADD COLUMN target TEXT NOT NULL DEFAULT '';
ALTER TABLE flow_rules ADD COLUMN waits BIGINT NOT NULL DEFAULT 0;
ALTER TABLE flow_rules ADD COLUMN minutes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE flow_rules ADD COLUMN fallback TEXT NOT NULL DEFAULT 'DEFAULT';
ALTER TABLE flow_rules ADD COLUMN configured BIGINT NOT NULL DEFAULT 0;
ALTER TABLE journaling ADD COLUMN configured BIGINT NOT NULL DEFAULT 0;

-- Calls of hooks that have not been answered yet, each for one letter and one rule. Letters of rules that wait are nowhere else: `content` is the
-- letter, and `details` says in JSON for whom it is, what is known of it, and what the rule said when it came. The next call is due at a time (epoch
-- seconds); while a call goes on, its `holder` has the row until then.
CREATE TABLE hook_calls (
    organization BIGINT NOT NULL,
    id           BIGINT NOT NULL,
    content      BIGINT NOT NULL,
    due_at       DOUBLE PRECISION NOT NULL,
    holder       TEXT NOT NULL,
    attempts     BIGINT NOT NULL,
    last_reply   TEXT NOT NULL,
    details      TEXT NOT NULL,
    PRIMARY KEY (organization, id)
) {clustered};
CREATE INDEX hook_calls_by_due ON hook_calls (organization, due_at);
CREATE INDEX hook_calls_by_content ON hook_calls (organization, content);
