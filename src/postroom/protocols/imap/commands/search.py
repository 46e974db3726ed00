"""SEARCH: find messages (RFC 3501 §6.4.4; ESEARCH RFC 4731, WITHIN RFC 5032, MODSEQ RFC 7162 §3.1.5).

The client's keys become the mailbox's own tree of conditions; what only this session knows (sequence numbers, \\Recent) becomes
sets of UIDs on the way.
"""

from collections.abc import Callable, Sequence

from postroom.mailbox import items, keywords
from postroom.model import search
from postroom.model.flags import Flag
from postroom.model.search import Query
from postroom.protocols.imap.commands.enable import use_condstore
from postroom.protocols.imap.grammar import answers, sets
from postroom.protocols.imap.grammar.commands import Search
from postroom.protocols.imap.grammar.dates import DAY
from postroom.protocols.imap.grammar.search import Key
from postroom.protocols.imap.session import Selected, Session
from postroom.protocols.imap.steps import Read, Steps
from postroom.storage.engine import Tx

_FLAGS = {name.encode(): int(Flag[name]) for name in ("ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN")}
_NOTHING = search.Not(search.All())
RUNS = 100
"""Runs of messages that are searched as such; where a set has more, each of its messages is named."""


def search_messages(session: Session, command: Search) -> Steps:
    """Give the numbers of the messages that match."""
    selected = session.open
    by_modseq = _mentions(command.key, b"MODSEQ")
    if by_modseq:
        yield use_condstore(session)
    uids, highest = yield Read(_search, selected, command, by_modseq)
    numbers = uids if command.uid else selected.view.numbers(uids)
    if command.returns is None:
        mark = b" (MODSEQ %d)" % highest if by_modseq and uids else b""
        listed = b" " + b" ".join([b"%d" % number for number in numbers]) if numbers else b""
        yield b"* SEARCH%b%b\r\n" % (listed, mark)
    else:
        yield _extended(session.tag, command, numbers, highest if by_modseq else 0)
    return answers.ok(b"SEARCH completed.")


def _extended(tag: bytes, command: Search, numbers: Sequence[int], highest: int) -> bytes:
    returns = command.returns or frozenset()
    parts = [b"* ESEARCH (TAG %b)" % answers.string(tag)]
    if command.uid:
        parts.append(b"UID")
    if numbers:
        parts += [b"MIN %d" % numbers[0]] if b"MIN" in returns else []
        parts += [b"MAX %d" % numbers[-1]] if b"MAX" in returns else []
        parts += [b"ALL " + sets.render(numbers)] if b"ALL" in returns else []
        parts += [b"MODSEQ %d" % highest] if highest else []
    if b"COUNT" in returns:
        parts.append(b"COUNT %d" % len(numbers))
    return b" ".join(parts) + b"\r\n"


def _mentions(key: Key, name: bytes) -> bool:
    return key.name == name or any(isinstance(inner, Key) and _mentions(inner, name) for inner in key.arguments)


def _search(tx: Tx, selected: Selected, command: Search, by_modseq: bool) -> tuple[list[int], int]:
    query = translate(command.key, selected, tx.now, lambda name: keywords.mask(tx, selected.mailbox, [name], create=False))
    uids = selected.view.known(items.search(tx, selected.folder.id, query))
    if not by_modseq:
        return uids, 0
    rows = items.rows(tx, selected.folder.id, sets.ranges(_told(uids, command.returns)), ("modseq",))
    return uids, max((modseq for (modseq,) in rows), default=0)


def _told(uids: list[int], returns: frozenset[bytes] | None) -> list[int]:
    """Give the messages an answer tells of: perhaps only the first and the last (RFC 7162 §3.1.10)."""
    if not uids or returns is None or returns & {b"ALL", b"COUNT"}:
        return uids
    return sorted(({uids[0]} if b"MIN" in returns else set()) | ({uids[-1]} if b"MAX" in returns else set()))


def translate(key: Key, selected: Selected, now: float, keyword: Callable[[str], int]) -> Query:
    """Say in the mailbox's words what a key asks for; `keyword` gives the bit of a keyword or 0."""
    name = key.name
    if name == b"AND":
        return search.And(tuple(translate(inner, selected, now, keyword) for inner in key.arguments))
    if name == b"OR":
        left, right = (translate(inner, selected, now, keyword) for inner in key.arguments)
        return search.Or(left, right)
    if name == b"NOT":
        return search.Not(translate(key.arguments[0], selected, now, keyword))
    if name in _FLAGS:
        return search.HasFlags(_FLAGS[name])
    if name.startswith(b"UN") and name[2:] in _FLAGS:
        return search.LacksFlags(_FLAGS[name[2:]])
    if name in (b"KEYWORD", b"UNKEYWORD"):
        bit = keyword(key.arguments[0])
        if name == b"KEYWORD":
            return search.HasFlags(bit) if bit else _NOTHING
        return search.LacksFlags(bit) if bit else search.All()
    if name in _OF_SESSION:
        return _OF_SESSION[name](selected, *key.arguments)
    if name in _WITHIN:
        return _WITHIN[name](now - key.arguments[0])
    return _PLAIN[name](*key.arguments)


def _set(selected: Selected, numbers: sets.SequenceSet, uid: bool = False) -> Query:
    slices = selected.view.resolve(numbers, uid)
    if len(slices) > RUNS:
        slices = [(at, at + 1) for start, stop in slices for at in range(start, stop)]
    return search.Uids(tuple(selected.view.ranges(slices))) if slices else _NOTHING


def _uids(selected: Selected, numbers: sets.SequenceSet) -> Query:
    return _set(selected, numbers, uid=True)


def _recent(selected: Selected) -> Query:
    return search.Uids(tuple(selected.recent)) if selected.recent else _NOTHING


def _new(selected: Selected) -> Query:
    return search.And((_recent(selected), search.LacksFlags(int(Flag.SEEN))))


def _old(selected: Selected) -> Query:
    return search.Not(_recent(selected))


def _field(name: str) -> Callable[[str], Query]:
    return lambda text: search.Field(name, text)


_OF_SESSION: dict[bytes, Callable[..., Query]] = {
    b"SET": _set,
    b"UID": _uids,
    b"RECENT": _recent,
    b"NEW": _new,
    b"OLD": _old,
}
_WITHIN: dict[bytes, Callable[[float], Query]] = {
    b"OLDER": lambda when: search.Received(None, when),
    b"YOUNGER": lambda when: search.Received(when, None),
}
_PLAIN: dict[bytes, Callable[..., Query]] = {
    b"ALL": search.All,
    b"LARGER": search.Larger,
    b"SMALLER": search.Smaller,
    b"BEFORE": lambda day: search.Received(None, day),
    b"ON": lambda day: search.Received(day, day + DAY),
    b"SINCE": lambda day: search.Received(day, None),
    b"SENTBEFORE": lambda day: search.Sent(None, day),
    b"SENTON": lambda day: search.Sent(day, day + DAY),
    b"SENTSINCE": lambda day: search.Sent(day, None),
    b"SUBJECT": _field("subject"),
    b"FROM": _field("from"),
    b"TO": _field("to"),
    b"CC": _field("cc"),
    b"BCC": _field("bcc"),
    b"TEXT": search.Text,
    b"BODY": search.Body,
    b"HEADER": search.Header,
    b"MODSEQ": search.Modseq,
}
