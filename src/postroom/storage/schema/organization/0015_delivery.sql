-- What was found out about a stranger's letter when it came, so that whoever takes it later judges it alike; '' for one of our own.
ALTER TABLE queue_messages ADD COLUMN assessment TEXT NOT NULL DEFAULT '';
