"""The word index: which contents hold a text.

Both engines answer the same question, "is this text a substring, ignoring case?" (RFC 9051 §6.4.4), each in
its own way. SQLite keeps an FTS5 index of words without their text: the words that *contain* what is asked
are looked up among the known ones and narrow the candidates. For a plain ASCII word that is already exact;
otherwise the caller has to confirm on the text itself. PostgreSQL searches the stored text and is exact.
"""

import re

from postroom.storage.engine import Tx

TERMS = 2000
"""Known words that one part of a text may stand for; more are not narrowed by."""
_WORD = re.compile(r"[^\W_]+")
_PLAIN = re.compile(r"[a-z0-9]+\Z")
_KNOWN = {
    (False, False): "instr(term, :word) > 0",
    (False, True): "substr(term, -length(:word)) = :word",
    (True, False): "substr(term, 1, length(:word)) = :word",
}


def insert(tx: Tx, engine: str, content: int, head: str, body: str) -> None:
    """Index a content's casefolded header and body text."""
    if engine == "sqlite":
        tx.run("INSERT INTO words (rowid, head, body) VALUES (:id, :head, :body)", id=content, head=head, body=body)
    else:
        tx.run(
            "INSERT INTO words (organization, id, head, body) VALUES (:organization, :id, :head, :body)",
            id=content,
            head=head.replace("\0", " "),
            body=body.replace("\0", " "),
        )


def delete(tx: Tx, engine: str, content: int) -> None:
    """Forget a content."""
    if engine == "sqlite":
        tx.run("DELETE FROM words WHERE rowid = :id", id=content)
    else:
        tx.run("DELETE FROM words WHERE organization = :organization AND id = :id", id=content)


def condition(tx: Tx, engine: str, text: str, columns: tuple[str, ...], name: str) -> tuple[str, dict[str, str], bool]:
    """Give an SQL condition on `i.content`, its values (named after `name`), and whether it is exact.

    `columns` are `head`, `body` or both.
    """
    wanted = text.casefold()
    if engine == "postgresql":
        any_of = " OR ".join(f"position(:{name} in w.{column}) > 0" for column in columns)
        found = f"SELECT w.id FROM words w WHERE w.organization = :organization AND ({any_of})"
        return f"i.content IN ({found})", {name: wanted.replace("\0", " ")}, True
    groups = _groups(tx, wanted)
    if groups is None:
        return "1 = 0", {}, True
    if not groups:
        return "1 = 1", {}, False
    match = f"{{{' '.join(columns)}}} : ({' AND '.join(groups)})"
    return (
        f"i.content IN (SELECT rowid FROM words WHERE words MATCH :{name})",
        {name: match},
        bool(_PLAIN.match(wanted)),
    )


def _groups(tx: Tx, wanted: str) -> list[str] | None:
    """Give the alternatives for each word of the text; None when one of them is in no content at all."""
    groups = []
    sure = wanted.isascii()
    for match in _WORD.finditer(wanted):
        terms = _terms(tx, match.group(), sure and match.start() > 0, sure and match.end() < len(wanted))
        if terms is None:
            continue
        if not terms:
            return None
        groups.append("(" + " OR ".join(f'"{term}"' for term in terms) + ")")
    return groups


def _terms(tx: Tx, word: str, bounded_left: bool, bounded_right: bool) -> list[str] | None:
    """List the known words that a word of the text may be part of; None when they are too many."""
    if bounded_left and bounded_right:
        return [word]
    rows = tx.all(
        f"SELECT DISTINCT term FROM words_known WHERE {_KNOWN[bounded_left, bounded_right]} LIMIT :limit",
        word=word,
        limit=TERMS + 1,
    )
    return None if len(rows) > TERMS else [term.replace('"', '""') for (term,) in rows]
