-- The word index: contents by the words of their header and body; `words_known` lists the words themselves.
CREATE VIRTUAL TABLE words USING fts5(head, body, content='', contentless_delete=1, detail=column,
    tokenize="unicode61 remove_diacritics 0");
CREATE VIRTUAL TABLE words_known USING fts5vocab(words, col);
