"""Turns a search into SQL over one folder."""

from collections.abc import Callable, Sequence
from typing import Any

from postroom.model import search
from postroom.storage.engine import Tx
from postroom.storage.queries import words

Confirm = Callable[[Sequence[int], search.Query], list[int]]
"""Reads contents and keeps those that truly match a text condition."""

_COLUMNS = {"subject": "c.subject", "from": "c.sender", "to": 'c."to"', "cc": "c.cc", "bcc": "c.bcc"}
_STORED_HEADERS = {"message-id": "c.message_id", "in-reply-to": "c.in_reply_to", "references": "c.refs"}
_FROM = (
    "FROM items i JOIN contents c ON c.organization = i.organization AND c.id = i.content"
    " WHERE i.organization = :organization AND i.folder = :folder"
)


def uids(tx: Tx, folder: int, query: search.Query, confirm: Confirm) -> list[int]:
    """List the UIDs of the items that match, in order."""
    compiler = _Compiler(tx, folder, confirm)
    condition = compiler.condition(query)
    source = _FROM
    if "c." not in condition:
        source = "FROM items i WHERE i.organization = :organization AND i.folder = :folder"
    rows = tx.all(f"SELECT i.uid {source} AND {condition} ORDER BY i.uid", folder=folder, **compiler.values)
    return [row[0] for row in rows]


class _Compiler:
    """Collects the values of one search while its conditions are written."""

    def __init__(self, tx: Tx, folder: int, confirm: Confirm) -> None:
        self._tx = tx
        self._folder = folder
        self._confirm = confirm
        self.values: dict[str, Any] = {}

    def condition(self, query: search.Query) -> str:
        """Write the condition of a query."""
        match query:
            case search.All():
                return "1 = 1"
            case search.And(terms):
                return "(" + " AND ".join(map(self.condition, terms)) + ")" if terms else "1 = 1"
            case search.Or(left, right):
                return f"({self.condition(left)} OR {self.condition(right)})"
            case search.Not(term):
                return f"NOT ({self.condition(term)})"
            case search.Uids(ranges):
                return self._ranges(ranges)
            case search.HasFlags(mask):
                return f"(i.flags & {mask:d}) = {mask:d}"
            case search.LacksFlags(mask):
                return f"(i.flags & {mask:d}) = 0"
            case search.Larger(size):
                return f"i.size > {self._value(size)}"
            case search.Smaller(size):
                return f"i.size < {self._value(size)}"
            case search.Received(low, high):
                return self._between("i.received_at", low, high)
            case search.Sent(low, high):
                return self._between("c.sent_wall", low, high)
            case search.Modseq(low):
                return f"i.modseq >= {self._value(low)}"
            case search.Field(name, text):
                return self._contains(_COLUMNS[name], text)
            case _:
                return self._text(query)

    def _value(self, value: Any) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"

    def _ranges(self, ranges: search.UidRanges) -> str:
        """Write a set of UIDs; single ones as a list, which may be long, since engines bound the depth of a condition."""
        single = ", ".join([f"{low:d}" for low, high in ranges if low == high])
        tests = [f"i.uid IN ({single})"] if single else []
        tests += [f"i.uid BETWEEN {low:d} AND {high:d}" for low, high in ranges if low < high]
        return f"({' OR '.join(tests)})" if tests else "1 = 0"

    def _between(self, column: str, low: float | None, high: float | None) -> str:
        tests = [f"{column} IS NOT NULL"]
        if low is not None:
            tests.append(f"{column} >= {self._value(low)}")
        if high is not None:
            tests.append(f"{column} < {self._value(high)}")
        return f"({' AND '.join(tests)})"

    def _contains(self, column: str, text: str) -> str:
        function = "instr({}, {})" if self._tx.engine == "sqlite" else "position({1} in {0})"
        wanted = self._value(text.casefold().replace("\0", ""))
        return f"({function.format(f'COALESCE({column}, {_EMPTY})', wanted)} > 0)"

    def _text(self, query: search.Query) -> str:
        match query:
            case search.Header(name, text) if name.lower() in _STORED_HEADERS and text:
                return self._contains(_STORED_HEADERS[name.lower()], text)
            case search.Header(_, text):
                return self._narrowed(query, text, ("head",), always_confirm=True)
            case search.Body(text):
                return self._narrowed(query, text, ("body",))
            case search.Text(text):
                return self._narrowed(query, text, ("head", "body"))
        raise TypeError(query)

    def _narrowed(self, query: search.Query, text: str, columns: tuple[str, ...], *, always_confirm: bool = False) -> str:
        """Narrow by the word index, then confirm on the contents themselves where that is not exact.

        Contents that wait to be indexed are always read.
        """
        condition, values, exact = words.condition(self._tx, text, columns, f"w{len(self.values)}")
        if exact and not always_confirm:
            self.values |= values
            waiting = self._confirmed(query, words.WAITING, {})
            return f"({condition} OR {waiting})"
        return self._confirmed(query, f"({condition} OR {words.WAITING})", values)

    def _confirmed(self, query: search.Query, condition: str, values: dict[str, str]) -> str:
        rows = self._tx.all(
            f"SELECT DISTINCT i.content FROM items i WHERE i.organization = :organization AND i.folder = :folder AND {condition}",
            folder=self._folder,
            **values,
        )
        kept = self._confirm([row[0] for row in rows], query)
        return f"i.content IN ({', '.join(map(str, kept))})" if kept else "1 = 0"


_EMPTY = "''"
