"""The word index: which contents hold a text.

A search asks "is this text a substring, ignoring case?" (RFC 9051 §6.4.4). On SQLite an FTS5 index knows which
words (runs of letters and digits, casefolded) each content has, without their text or order: the known words
that may be part of what is asked narrow the candidates. For one plain word that is already exact; otherwise
the caller confirms on the contents themselves. PostgreSQL keeps and searches the text and is exact.

Words are put in by a job, after the letter has been acknowledged; until then `unindexed` says which contents
a search must read.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from postroom.storage.engine import Tx

TERMS = 2000
"""Known words that one part of a text may stand for; more do not narrow."""
MAX_WORDS = 20_000
"""Different words of one content that are indexed."""
MAX_WORD = 100
"""Characters of an indexed word."""
WAITING = "i.content IN (SELECT u.content FROM unindexed u WHERE u.organization = :organization)"
_WORD = re.compile(r"[^\W_]+")
_ASCII_WORDS = bytes(byte if chr(byte).isalnum() and byte < 128 else 32 for byte in range(256))
_KNOWN = {
    (False, False): "instr(word, :part) > 0",
    (False, True): "substr(word, -length(:part)) = :part",
    (True, False): "word >= :part AND substr(word, 1, length(:part)) = :part",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What is indexed of a content: its words on SQLite, its text on PostgreSQL; `partial` when not all of it."""

    content: int
    head: str
    body: str
    known: frozenset[str]
    partial: bool


def entry(engine: str, content: int, head: str, body: str) -> Entry:
    """Make the entry of a content from its casefolded texts."""
    if engine == "postgresql":
        return Entry(content, head, body, frozenset(), False)
    in_head, in_body = _words(head), _words(body)
    everything = kept = in_head | in_body
    if len(everything) > MAX_WORDS or max(map(len, everything), default=0) > MAX_WORD:
        kept = set(sorted(word for word in everything if len(word) <= MAX_WORD)[:MAX_WORDS])
        in_head, in_body = in_head & kept, in_body & kept
    return Entry(content, " ".join(in_head), " ".join(in_body), frozenset(kept), len(kept) < len(everything))


def insert(tx: Tx, entries: Sequence[Entry]) -> None:
    """Index contents."""
    if tx.engine == "postgresql":
        tx.many(
            "INSERT INTO words (organization, id, head, body) VALUES (:organization, :id, :head, :body)"
            " ON CONFLICT (organization, id) DO NOTHING",
            _rows(entries),
        )
        return
    tx.many("INSERT INTO words (rowid, head, body) VALUES (:id, :head, :body)", _rows(entries))
    known = frozenset[str]().union(*(entry.known for entry in entries))
    tx.many("INSERT OR IGNORE INTO known_words (word) VALUES (:word)", [{"word": word} for word in sorted(known)])
    for one in entries:
        if one.partial:
            tx.run("INSERT INTO unindexed (organization, content, partial) VALUES (:organization, :content, 1)", content=one.content)


def delete(tx: Tx, content: int) -> None:
    """Forget a content."""
    if tx.engine == "postgresql":
        tx.run("DELETE FROM words WHERE organization = :organization AND id = :id", id=content)
    elif not _waits(tx, content):
        tx.run("DELETE FROM words WHERE rowid = :id", id=content)
    tx.run("DELETE FROM unindexed WHERE organization = :organization AND content = :content", content=content)


def await_index(tx: Tx, content: int) -> None:
    """Note that a content is not indexed yet, unless it is, or waits already."""
    known = "words w WHERE w.organization = :organization AND w.id" if tx.engine == "postgresql" else "words_docsize w WHERE w.id"
    tx.run(
        "INSERT INTO unindexed (organization, content, partial) SELECT :organization, :content, 0"
        f" WHERE NOT EXISTS (SELECT 1 FROM {known} = :content) ON CONFLICT (organization, content) DO NOTHING",
        content=content,
    )


def page_waiting(tx: Tx, limit: int) -> list[int]:
    """List contents that wait to be indexed, oldest first."""
    rows = tx.all(
        "SELECT content FROM unindexed WHERE organization = :organization AND partial = 0 ORDER BY content LIMIT :limit",
        limit=limit,
    )
    return [content for (content,) in rows]


def settle(tx: Tx, content: int) -> bool:
    """Note that a content is being indexed; False when it no longer waits."""
    return bool(
        tx.run(
            "DELETE FROM unindexed WHERE organization = :organization AND content = :content AND partial = 0",
            content=content,
        )
    )


def condition(tx: Tx, text: str, columns: tuple[str, ...], name: str) -> tuple[str, dict[str, str], bool]:
    """Give an SQL condition on `i.content`, its values (named after `name`), and whether it is exact.

    `columns` are `head`, `body` or both.
    """
    wanted = text.casefold()
    if tx.engine == "postgresql":
        any_of = " OR ".join(f"position(:{name} in w.{column}) > 0" for column in columns)
        found = f"SELECT w.id FROM words w WHERE w.organization = :organization AND ({any_of})"
        return f"i.content IN ({found})", {name: wanted.replace("\0", " ")}, True
    groups = _groups(tx, wanted)
    if groups is None:
        return "1 = 0", {}, True
    if not groups:
        return "1 = 1", {}, False
    match = f"{{{' '.join(columns)}}} : ({' AND '.join(groups)})"
    found = f"i.content IN (SELECT rowid FROM words WHERE words MATCH :{name})"
    return found, {name: match}, _WORD.fullmatch(wanted) is not None


def _words(text: str) -> set[str]:
    """Give the words of a text; plain ASCII, which most mail is, ten times as fast as the expression would."""
    if text.isascii():
        return set(text.encode().translate(_ASCII_WORDS).decode().split())
    return set(_WORD.findall(text))


def _rows(entries: Iterable[Entry]) -> list[dict[str, object]]:
    return [{"id": entry.content, "head": entry.head, "body": entry.body} for entry in entries]


def _waits(tx: Tx, content: int) -> bool:
    row = tx.one(
        "SELECT 1 FROM unindexed WHERE organization = :organization AND content = :content AND partial = 0",
        content=content,
    )
    return row is not None


def _groups(tx: Tx, wanted: str) -> list[str] | None:
    """Give the alternatives for each word of the text; None when one of them is in no content at all."""
    groups = []
    for match in _WORD.finditer(wanted):
        terms = _terms(tx, match.group(), match.start() > 0, match.end() < len(wanted))
        if terms is None:
            continue
        if not terms:
            return None
        groups.append("(" + " OR ".join(f'"{term}"' for term in terms) + ")")
    return groups


def _terms(tx: Tx, part: str, bounded_left: bool, bounded_right: bool) -> list[str] | None:
    """List the known words that a word of the text may be part of; None when they are too many."""
    if bounded_left and bounded_right:
        return [part]
    rows = tx.all(
        f"SELECT word FROM known_words WHERE {_KNOWN[bounded_left, bounded_right]} LIMIT :limit",
        part=part,
        limit=TERMS + 1,
    )
    return None if len(rows) > TERMS else [word for (word,) in rows]
