-- The word index: contents by the words of their header and body, which come already split, one space between.
CREATE VIRTUAL TABLE words USING fts5(head, body, content='', contentless_delete=1, detail=column, tokenize='ascii');

-- Every word that was ever indexed; a search for part of a word begins here.
CREATE TABLE known_words (word TEXT PRIMARY KEY) WITHOUT ROWID;
