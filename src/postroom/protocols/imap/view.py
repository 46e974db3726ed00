"""The messages of a selected folder as one session knows them: sequence numbers are positions in a row of UIDs.

Nothing enters or leaves the view except when the client is told (RFC 3501 §7.4.1), so numbers always mean what the client
thinks they mean. UIDs are ascending and those between two of the view that are not in it are gone for good; so any run
of messages is one range of UIDs.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from postroom.protocols.imap.grammar.scanner import Malformed
from postroom.protocols.imap.grammar.sets import STAR, SequenceSet

Slice = tuple[int, int]
"""Positions from (0-based) up to, not including."""


class Remembered:
    """The UIDs of folders lately selected, for the next session that selects one unchanged; within `size` octets."""

    __slots__ = ("_held", "_left")

    def __init__(self, size: int) -> None:
        self._left = size
        self._held: OrderedDict[tuple[int, int], tuple[int, array[int]]] = OrderedDict()

    def find(self, scope: int, folder: int, modseq: int) -> "array[int] | None":
        """Give the UIDs of a folder if they are those of this modseq."""
        found = self._held.get((scope, folder))
        return found[1] if found is not None and found[0] == modseq else None

    def keep(self, scope: int, folder: int, modseq: int, uids: "array[int]") -> None:
        """Remember the UIDs of a folder at a modseq, forgetting the oldest others for them."""
        self._forget((scope, folder))
        self._held[scope, folder] = (modseq, uids)
        self._left -= uids.itemsize * len(uids)
        while self._left < 0:
            self._forget(next(iter(self._held)))

    def _forget(self, key: tuple[int, int]) -> None:
        found = self._held.pop(key, None)
        if found is not None:
            self._left += found[1].itemsize * len(found[1])


class View:
    """Ascending UIDs; the message at position 0 has sequence number 1. Four bytes a message."""

    __slots__ = ("uids",)

    def __init__(self, uids: Iterable[int] = ()) -> None:
        self.uids = uids[:] if isinstance(uids, array) else array("I", uids)

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def last(self) -> int:
        """The highest UID, 0 when empty."""
        return self.uids[-1] if self.uids else 0

    def position(self, uid: int) -> int:
        """Give the position of a UID, -1 if it is not here."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else -1

    def add(self, uids: Iterable[int]) -> None:
        """Take new messages in."""
        self.uids.extend(uids)

    def remove(self, uids: Iterable[int]) -> list[int]:
        """Let messages go; gives their sequence numbers as EXPUNGE counts them, each after those before it have gone."""
        positions = sorted({at for uid in uids if (at := self.position(uid)) >= 0})
        if len(positions) < 20:
            for at in reversed(positions):
                del self.uids[at]
        else:
            gone = set(positions)
            self.uids = array("I", [uid for at, uid in enumerate(self.uids) if at not in gone])
        return [at + 1 - before for before, at in enumerate(positions)]

    def resolve(self, numbers: SequenceSet, uid: bool) -> list[Slice]:
        """Give the runs of messages a set names, ascending and apart.

        A UID that is not here names nothing; a set of sequence numbers none of which exists is refused.
        """
        slices = sorted(self._uid_slice(*pair) if uid else self._slice(*pair) for pair in numbers)
        found: list[Slice] = []
        for start, stop in slices:
            if start >= stop:
                continue
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(stop, found[-1][1]))
            else:
                found.append((start, stop))
        if not found and not uid and all(STAR not in pair for pair in numbers):
            raise Malformed("There is no such message.")
        return found

    def _slice(self, first: int, second: int) -> Slice:
        count = len(self.uids)
        low, high = sorted((count if first == STAR else first, count if second == STAR else second))
        if low > count and STAR not in (first, second):
            return 0, 0
        return max(min(low, count), 1) - 1, min(high, count)

    def _uid_slice(self, first: int, second: int) -> Slice:
        low, high = sorted((self.last if first == STAR else first, self.last if second == STAR else second))
        return bisect_left(self.uids, low), bisect_right(self.uids, high)

    def within(self, low: int, high: int) -> Slice:
        """Give the run of messages between two UIDs, inclusive."""
        return bisect_left(self.uids, low), bisect_right(self.uids, high)

    def ranges(self, slices: Iterable[Slice]) -> list[tuple[int, int]]:
        """Give the ranges of UIDs that hold just these messages."""
        return [(self.uids[start], self.uids[stop - 1]) for start, stop in slices]

    def known(self, uids: Sequence[int]) -> list[int]:
        """Keep those of ascending UIDs that are in the view."""
        if len(uids) == len(self.uids) and array("I", uids) == self.uids:
            return list(uids)
        here = set(self.uids) if len(uids) > 50 else None
        return [uid for uid in uids if (uid in here if here is not None else self.position(uid) >= 0)]

    def numbers(self, uids: Sequence[int]) -> Sequence[int]:
        """Give the sequence numbers of ascending UIDs of the view."""
        first = bisect_left(self.uids, uids[0]) if uids else 0
        if self.uids[first : first + len(uids)] == array("I", uids):
            return range(first + 1, first + 1 + len(uids))
        return [bisect_left(self.uids, uid, first) + 1 for uid in uids]
