-- The mail domain under whose key a queued letter is sealed that others wrote and this server passes on, '' for every other letter.
ALTER TABLE queue_messages ADD COLUMN sealer TEXT NOT NULL DEFAULT '';
