"""What the program promised, written down by its clients, and what of it does not hold.

Theory.  A client knows of every letter how often it handed it over and whether it once heard "250".  An answer is a promise:
one copy, whole.  No answer promises nothing, so each unanswered attempt may have left one copy or none; but a letter to several
people is taken for all or for none.  A refusal promises that nothing came.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Address = str


@dataclass(slots=True)
class Entry:
    """One letter, as its sender knows it."""

    recipients: tuple[Address, ...]
    unanswered: int = 0
    acknowledged: int = 0

    def bounds(self) -> tuple[int, int]:
        """Return the fewest and the most copies that each recipient may have."""
        return self.acknowledged, self.acknowledged + self.unanswered


@dataclass(slots=True)
class Ledger:
    """Every letter by its name; senders write from many threads."""

    entries: dict[str, Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def offer(self, name: str, recipients: Sequence[Address]) -> None:
        """Note an attempt, before the last byte leaves."""
        with self._lock:
            self.entries.setdefault(name, Entry(tuple(recipients))).unanswered += 1

    def settle(self, name: str, *, accepted: bool) -> None:
        """Note the answer to the attempt."""
        with self._lock:
            entry = self.entries[name]
            entry.unanswered -= 1
            entry.acknowledged += accepted

    def acknowledged(self) -> int:
        """Count the letters that were answered 250."""
        with self._lock:
            return sum(entry.acknowledged > 0 for entry in self.entries.values())

    def broken(self, mailboxes: Mapping[Address, Iterable[str | None]]) -> list[str]:
        """Compare with what lies in the mailboxes (names of letters, None for a damaged one); return every broken promise."""
        found = {address: Counter(names) for address, names in mailboxes.items()}
        complaints = [f"{address}: {counts[None]} damaged" for address, counts in found.items() if counts[None]]
        for name, entry in self.entries.items():
            fewest, most = entry.bounds()
            copies = {address: found[address][name] for address in entry.recipients}
            for address, count in copies.items():
                if not fewest <= count <= most:
                    complaints.append(f"{address}: {count} of {name}, expected {fewest} to {most}")
            if len(set(copies.values())) > 1:
                complaints.append(f"{name} came to some only: {copies}")
        for address, counts in found.items():
            strays = [name for name in counts if name is not None and address not in self._recipients(name)]
            complaints += [f"{address}: {name} was never sent there" for name in strays]
        return complaints

    def _recipients(self, name: str) -> tuple[Address, ...]:
        entry = self.entries.get(name)
        return entry.recipients if entry else ()


@dataclass(slots=True)
class Numbers:
    """The UIDs of a folder over time: strictly growing, never given twice, under one UIDVALIDITY (RFC 9051 §2.3.1.1)."""

    validity: int = 0
    next: int = 1
    seen: dict[int, str] = field(default_factory=dict)

    def broken(self, validity: int, uidnext: int, listed: Mapping[int, str]) -> list[str]:
        """Take note of what a folder says of itself now; return what contradicts what it said before."""
        complaints = []
        if self.validity not in (0, validity):
            complaints.append(f"UIDVALIDITY was {self.validity} and is {validity}")
        if uidnext < self.next:
            complaints.append(f"UIDNEXT was {self.next} and is {uidnext}")
        for uid, name in listed.items():
            if uid >= uidnext:
                complaints.append(f"UID {uid} is not below UIDNEXT {uidnext}")
            known = self.seen.get(uid)
            if known is None and uid < self.next:
                complaints.append(f"UID {uid} came up below UIDNEXT {self.next}")
            if known not in (None, name):
                complaints.append(f"UID {uid} was {known} and is {name}")
        self.validity, self.next = validity, max(self.next, uidnext)
        self.seen.update(listed)
        return complaints
