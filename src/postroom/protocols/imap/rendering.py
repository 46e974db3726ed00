"""Rows of a folder to FETCH answers, many at a time.

A FETCH is compiled once into a plan: which fields of the rows it needs and a template for the bytes of an answer. Rows are then
turned column by column, so that for 10,000 envelopes no line of Python runs 10,000 times; only sections of the content
are cut message by message. This runs on storage threads and hands finished bytes to the loop.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from postroom.formats import sections
from postroom.mailbox import contents, items, keywords
from postroom.mailbox.access import Mailbox
from postroom.model import errors
from postroom.model.flags import Flag
from postroom.protocols.imap.grammar import dates
from postroom.protocols.imap.grammar.answers import RECENT, FlagTexts
from postroom.protocols.imap.grammar.fetch import Attribute, Section
from postroom.protocols.imap.session import Selected
from postroom.protocols.imap.view import Slice
from postroom.storage.engine import Tx

ROWS = 1000
"""Messages of one batch without content."""
ROWS_WITH_CONTENT = 64
ANSWER_BYTES = 128 << 20
"""The most that may be asked of one message, by naming many overlapping sections."""
BATCH_BYTES = 1 << 20
"""Where a batch with content ends, give or take one message; a larger message is not copied into it."""

_FIELDS = {
    b"UID": "uid",
    b"FLAGS": "flags",
    b"ENVELOPE": "envelope",
    b"INTERNALDATE": "received_at",
    b"RFC822.SIZE": "size",
    b"BODYSTRUCTURE": "structure",
    b"BODY": "body",
    b"MODSEQ": "modseq",
}
_PLACES = {"uid": b"%d", "size": b"%d", "modseq": b"(%d)", "flags": b"(%b)"}


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of an answer: a template over columns, then perhaps a section of the content."""

    template: bytes
    columns: tuple[str, ...]
    section: Section | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a row becomes an answer; `fields` begin with uid, flags and modseq, `bodies` counts sections that may be large."""

    fields: tuple[str, ...]
    pieces: tuple[Piece, ...]
    bodies: int
    marks_seen: bool

    @property
    def has_content(self) -> bool:
        """Whether content must be read at all."""
        return len(self.pieces) > 1

    @property
    def rows(self) -> int:
        """Messages of one batch."""
        return ROWS_WITH_CONTENT if self.has_content else ROWS


@dataclass(frozen=True, slots=True)
class Batch:
    """Finished answers; how many messages of the view were looked at and how many of them are gone; new keywords."""

    data: list[bytes]
    taken: int
    missing: int
    names: dict[int, str] | None


def compile_plan(attributes: Iterable[Attribute], *extra: bytes) -> Plan:
    """Make the plan of a FETCH; `extra` attributes come first unless they are asked for anyway."""
    asked = tuple(attributes)
    wanted: list[Attribute] = [name for name in extra if name not in asked]
    wanted += asked
    fields = dict.fromkeys(("uid", "flags", "modseq"))
    pieces: list[Piece] = []
    template, columns = b"* %d FETCH (", ["number"]
    for place, attribute in enumerate(wanted):
        gap = b" " if place else b""
        if isinstance(attribute, Section):
            fields |= dict.fromkeys(("size", "content", "parts") if attribute.part or attribute.text else ("size", "content"))
            pieces.append(Piece(template + gap + attribute.label.replace(b"%", b"%%") + b" ", tuple(columns), attribute))
            template, columns = b"", []
        else:
            name = _FIELDS[attribute]
            fields["structure" if name == "body" else name] = None
            template += gap + attribute + b" " + _PLACES.get(name, b"%b")
            columns.append(name)
    pieces.append(Piece(template + b")\r\n", tuple(columns)))
    cut = [piece.section for piece in pieces if piece.section is not None]
    bodies = sum(section.text in (b"", b"TEXT") for section in cut)
    return Plan(tuple(fields), tuple(pieces), bodies, any(not section.peek for section in cut))


def split(slices: Sequence[Slice], size: int) -> tuple[list[Slice], list[Slice]]:
    """Cut the first `size` messages off; gives them and the rest."""
    taken: list[Slice] = []
    for place, (start, stop) in enumerate(slices):
        if stop - start >= size:
            rest = [(start + size, stop)] if stop - start > size else []
            return [*taken, (start, start + size)], rest + list(slices[place + 1 :])
        taken.append((start, stop))
        size -= stop - start
    return taken, []


def measure(tx: Tx, selected: Selected, slices: Sequence[Slice], changed_since: int | None) -> tuple[int, list[int]]:
    """Find how many messages make a batch by their sizes, and which of them are not \\Seen."""
    total = 0
    unseen: list[int] = []
    for uid, size, flags, modseq in items.rows(tx, selected.folder.id, selected.view.ranges(slices), ("uid", "size", "flags", "modseq")):
        if changed_since is not None and modseq <= changed_since:
            continue
        if total and total + size > BATCH_BYTES:
            return _positions_before(selected, slices, uid), unseen
        total += size
        if not flags & Flag.SEEN:
            unseen.append(uid)
    return sum(stop - start for start, stop in slices), unseen


def batch(tx: Tx, mailbox: Mailbox, selected: Selected, plan: Plan, slices: Sequence[Slice], changed_since: int | None) -> Batch:
    """Write the answers for some messages of the view; with content, for as many as fill a batch."""
    size = sum(stop - start for start, stop in slices)
    rows = items.rows(tx, selected.folder.id, selected.view.ranges(slices), plan.fields)
    missing = size - len(rows)
    if changed_since is not None:
        rows = [row for row in rows if row[2] > changed_since]
    if plan.has_content and (fitting := _fitting(rows, plan.fields.index("size"), max(plan.bodies, 1))) < len(rows):
        size, missing = _positions_before(selected, slices, rows[fitting][0]), 0
        rows = rows[:fitting]
    data, names = lines(tx, mailbox, selected, plan, rows)
    return Batch(data, size, missing, names)


def lines(
    tx: Tx, mailbox: Mailbox, selected: Selected, plan: Plan, rows: Sequence[tuple[Any, ...]]
) -> tuple[list[bytes], dict[int, str] | None]:
    """Write the answers for rows of the plan's fields; with names if there are keywords this session has not heard of."""
    if not rows:
        return [], None
    columns: dict[str, tuple[Any, ...]] = dict(zip(plan.fields, zip(*rows, strict=True), strict=True))
    columns["number"] = tuple(selected.view.numbers(columns["uid"]))
    texts, names = selected.texts, None
    if any(flags & ~texts.known for flags in set(columns["flags"])):
        names = keywords.names(tx, mailbox)
        texts = FlagTexts(names)
    return _write(tx, selected, plan, columns, texts), names


def _fitting(rows: Sequence[tuple[Any, ...]], at: int, times: int) -> int:
    total = 0
    for place, row in enumerate(rows):
        total += row[at] * times
        if place and total > BATCH_BYTES:
            return place
    return len(rows)


def _positions_before(selected: Selected, slices: Sequence[Slice], uid: int) -> int:
    """Count the messages of some slices that come before a UID."""
    return sum(min(max(selected.view.within(0, uid - 1)[1], start), stop) - start for start, stop in slices)


def _write(tx: Tx, selected: Selected, plan: Plan, columns: dict[str, tuple[Any, ...]], texts: FlagTexts) -> list[bytes]:
    *heads, last = [_lines(selected, piece, columns, texts) for piece in plan.pieces]
    if not heads:
        return [b"".join(last)]
    readers = [_reader(piece.section) for piece in plan.pieces if piece.section is not None]
    packed = columns.get("parts") or (b"",) * len(last)
    out: list[bytes] = []
    left = ANSWER_BYTES
    for at, content in enumerate(columns["content"]):
        raw = contents.read(tx, content)
        for head, reader in zip(heads, readers, strict=True):
            data = reader(raw, packed[at])
            left -= len(data or b"")
            if left < 0:
                raise errors.LimitExceeded("This is too much to ask of one message.")
            out += (head[at], b"NIL") if data is None else (head[at], b"{%d}\r\n" % len(data), data)
        out.append(last[at])
    return _joined(out)


def _joined(pieces: list[bytes]) -> list[bytes]:
    """Join pieces, but leave what is large as it is."""
    if all(len(piece) <= BATCH_BYTES for piece in pieces):
        return [b"".join(pieces)]
    return [
        piece for large, run in groupby(pieces, lambda piece: len(piece) > BATCH_BYTES) for piece in (run if large else [b"".join(run)])
    ]


def _lines(selected: Selected, piece: Piece, columns: dict[str, tuple[Any, ...]], texts: FlagTexts) -> list[bytes]:
    """Fill a template once for every message."""
    if not piece.columns:
        return [piece.template % ()] * len(columns["uid"])
    values = [_column(selected, name, columns, texts) for name in piece.columns]
    return list(map(piece.template.__mod__, zip(*values, strict=True)))


def _column(selected: Selected, name: str, columns: dict[str, tuple[Any, ...]], texts: FlagTexts) -> Iterable[Any]:
    if name == "flags":
        flags = list(columns["flags"])
        for low, high in selected.recent:
            here = slice(bisect_left(columns["uid"], low), bisect_right(columns["uid"], high))
            flags[here] = [mask | RECENT for mask in flags[here]]
        return map(texts.__getitem__, flags)
    if name == "received_at":
        return map(dates.render, columns["received_at"])
    if name == "body":
        return map(sections.body, columns["structure"])
    return columns[name]


@lru_cache(maxsize=256)
def _reader(section: Section) -> Callable[[bytes, bytes], bytes | None]:
    """Make the function that cuts one section out of a message and its map of parts."""
    start, count = section.start, section.count
    stop = None if count is None else start + count
    if not section.part and not section.text:
        return (lambda raw, packed: raw) if stop is None else (lambda raw, packed: raw[start:stop])
    wanted = sections.Section(
        tuple(int(number) for number in section.part.split(b".") if number),
        section.text.decode("ascii"),
        tuple(name.decode("ascii") for name in section.fields),
    )

    def cut(raw: bytes, packed: bytes) -> bytes | None:
        found = sections.section(raw, packed, wanted)
        return found if found is None or stop is None else found[start:stop]

    return cut
