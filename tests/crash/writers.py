"""The clients of the crash test: senders that write to the ledger, and an IMAP client that knows what its mailbox must hold.

The IMAP client is the only one to touch its folders, so after each crash there are just two states it may find: before the command
that was cut off, and after it.
"""

from __future__ import annotations

import imaplib
import random
import re
import smtplib
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from tests.crash import letters
from tests.crash.ledger import Ledger, Numbers
from tests.program import Ready, User

CUT = (OSError, EOFError, imaplib.IMAP4.abort, smtplib.SMTPServerDisconnected, smtplib.SMTPConnectError)
FOLDERS = ("Work", "Done")
FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "$Label")

Folder = dict[int, tuple[str, frozenset[str]]]
"""A folder's letters by UID: name and flags."""


@dataclass
class Stage:
    """Where the program is to be found now; empty while it is down."""

    ready: Ready | None = None
    over: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def enter(self, ready: Ready | None) -> None:
        with self._changed:
            self.ready = ready
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self.over = True
            self._changed.notify_all()

    def visits(self) -> Iterator[Ready]:
        """Yield where the program is, each time it is up, until the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.over or self.ready is not None)
                if self.over:
                    return
                assert self.ready
                ready = self.ready
            yield ready

    def pause(self, seconds: float) -> None:
        """Let others work for a moment."""
        with self._changed:
            self._changed.wait_for(lambda: self.over, seconds)


class Client(threading.Thread):
    """A thread whose failure is kept for the test to see."""

    def __init__(self, stage: Stage, seed: str) -> None:
        super().__init__(daemon=True, name=seed)
        self.stage = stage
        self.chance = random.Random(seed)
        self.failure: BaseException | None = None
        self.done = 0

    def run(self) -> None:
        try:
            for ready in self.stage.visits():
                with suppress(*CUT):
                    self.visit(ready)
                self.stage.pause(0.05)
        except BaseException as failure:
            self.failure = failure

    def visit(self, ready: Ready) -> None:
        raise NotImplementedError


class Sender(Client):
    """A stranger's server, or with a user one of ours submitting: letter after letter on one connection; what was cut off goes again."""

    def __init__(self, stage: Stage, seed: str, ledger: Ledger, recipients: list[str], user: User | None = None) -> None:
        super().__init__(stage, seed)
        self.ledger = ledger
        self.recipients = recipients
        self.user = user
        self.again: tuple[str, int, list[str]] | None = None

    def visit(self, ready: Ready) -> None:
        with self.connection(ready) as smtp:
            while not self.stage.over:
                if self.again is None:
                    count = self.chance.choice([1, 1, 1, 2, 3])
                    to = self.chance.sample(self.recipients, min(count, len(self.recipients)))
                    self.again = (f"{self.name}-{self.done}", letters.size(self.chance), to)
                    self.done += 1
                self.send(smtp, *self.again)
                self.again = None
                self.stage.pause(self.chance.uniform(0, 0.15))

    def connection(self, ready: Ready) -> smtplib.SMTP:
        if self.user is None:
            return smtplib.SMTP(*ready.smtp, local_hostname="stranger.test", timeout=20)
        smtp = smtplib.SMTP_SSL(*ready.submissions, local_hostname="stranger.test", context=ready.tls(), timeout=20)
        smtp.login(self.user.email, self.user.password)
        return smtp

    def send(self, smtp: smtplib.SMTP, name: str, size: int, to: list[str]) -> None:
        """Send one letter and note the answer; a refusal has no place in this test."""
        sender = self.user.email if self.user else "bob@stranger.test"
        text = letters.letter(name, size)
        if self.user:
            text = text.replace(b"bob@stranger.test", sender.encode(), 1)
        smtp.ehlo_or_helo_if_needed()
        for code, answer in (smtp.mail(sender), *(smtp.rcpt(address) for address in to)):
            assert code == 250, answer
        self.ledger.offer(name, to)
        code, answer = smtp.data(text)
        self.ledger.settle(name, accepted=code == 250)
        assert code == 250, answer


class Writer(Client):
    """An IMAP client that appends, flags, moves and expunges in folders of its own."""

    def __init__(self, stage: Stage, seed: str, user: User) -> None:
        super().__init__(stage, seed)
        self.user = user
        self.folders: dict[str, Folder] = {}
        self.numbers = {name: Numbers() for name in FOLDERS}
        self.after: dict[str, Folder] | None = None
        self.counts = {"append": 0, "store": 0, "move": 0, "expunge": 0}
        self.complaints: list[str] = []

    def visit(self, ready: Ready) -> None:
        imap = imaplib.IMAP4_SSL(*ready.imaps, ssl_context=ready.tls(), timeout=20)
        try:
            imap.login(self.user.email, self.user.password)
            self.reconcile(imap)
            while not self.stage.over:
                self.work(imap)
                self.stage.pause(self.chance.uniform(0, 0.03))
        finally:
            imap.shutdown()

    def reconcile(self, imap: imaplib.IMAP4) -> None:
        """Look at everything; it must be as before the command that was cut off, or as after it."""
        for name in FOLDERS:
            if name not in self.folders:
                self._ok(imap.create(name), allow="ALREADYEXISTS")
                self.folders[name] = {}
        found = {name: self.look(imap, name) for name in FOLDERS}
        allowed = [self.folders] + ([self.after] if self.after is not None else [])
        if not any(same(found, state) for state in allowed):
            self.complaints.append(f"{self.user.email}: {difference(found, allowed[0])}; after the cut: {difference(found, allowed[-1])}")
        self.folders, self.after = found, None
        self._ok(imap.select("Work"))

    def look(self, imap: imaplib.IMAP4, name: str) -> Folder:
        """Read a folder whole, and check its numbers and every letter."""
        self._ok(imap.select(name, readonly=True))
        validity = int(imap.response("UIDVALIDITY")[1][0])
        uidnext = int(imap.response("UIDNEXT")[1][0])
        folder: Folder = {}
        _, answer = imap.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")
        for line, text in (part for part in answer if isinstance(part, tuple)):
            uid = int(re.search(rb"UID (\d+)", line)[1])  # type: ignore[index]
            flags = re.search(rb"FLAGS \(([^)]*)\)", line)[1].decode().split()  # type: ignore[index]
            folder[uid] = (letters.read(text) or "damaged", frozenset(flags) - {"\\Recent"})
        self.complaints += [f"{self.user.email}/{name} UID {uid}: damaged" for uid, (who, _) in folder.items() if who == "damaged"]
        listed = {uid: who for uid, (who, _) in folder.items()}
        self.complaints += [f"{self.user.email}/{name}: {text}" for text in self.numbers[name].broken(validity, uidnext, listed)]
        return folder

    def work(self, imap: imaplib.IMAP4) -> None:
        """Do one thing; only an answer makes it part of what must be there."""
        work = self.folders["Work"]
        verbs: list[Callable[[imaplib.IMAP4], None]] = [self.append]
        if len(work) > 5:
            verbs = [self.append] * 8 + [self.store] * 6 + [self.move] * 4 + [self.expunge] * 3
        self.chance.choice(verbs)(imap)
        assert self.after is not None
        self.folders, self.after = self.after, None
        self.done += 1

    def append(self, imap: imaplib.IMAP4) -> None:
        name, size = f"{self.name}-{self.done}", letters.size(self.chance)
        flags = frozenset(self.chance.sample(FLAGS, self.chance.randint(0, 2)))
        self.after = {**self.folders, "Work": {**self.folders["Work"], -1: (name, flags)}}
        answer = self._ok(imap.append("Work", f"({' '.join(flags)})", None, letters.letter(name, size)))
        match = re.search(rb"\[APPENDUID (\d+) (\d+)\]", answer[-1])
        assert match, answer
        self.arrived("Work", int(match[1]), int(match[2]), name)
        self.after["Work"][int(match[2])] = self.after["Work"].pop(-1)
        self.counts["append"] += 1

    def store(self, imap: imaplib.IMAP4) -> None:
        work = self.folders["Work"]
        chosen = self.chance.sample(sorted(work), min(len(work), self.chance.randint(1, 5)))
        flag = self.chance.choice(FLAGS)
        how = self.chance.choice(["+FLAGS", "-FLAGS", "+FLAGS.SILENT"])
        changed = {uid: (work[uid][0], work[uid][1] | {flag} if how[0] == "+" else work[uid][1] - {flag}) for uid in chosen}
        self.after = {**self.folders, "Work": {**work, **changed}}
        self._ok(imap.uid("STORE", ",".join(map(str, chosen)), how, f"({flag})"))
        self.counts["store"] += 1

    def move(self, imap: imaplib.IMAP4) -> None:
        work, done = self.folders["Work"], self.folders["Done"]
        chosen = sorted(self.chance.sample(sorted(work), self.chance.randint(1, 3)))
        left = {uid: what for uid, what in work.items() if uid not in chosen}
        self.after = {"Work": left, "Done": {**done, **{-uid: work[uid] for uid in chosen}}}
        imap.untagged_responses.pop("COPYUID", None)
        answer = self._ok(imap.uid("MOVE", ",".join(map(str, chosen)), "Done"))
        copied = imap.response("COPYUID")[1][-1]
        if copied is None:
            match = re.search(rb"\[COPYUID ([^\]]*)\]", answer[-1] or b"")
            assert match, answer
            copied = match[1]
        validity, old, new = copied.split()
        for before, after in zip(numbers(old), numbers(new), strict=True):
            self.arrived("Done", int(validity), after, work[before][0])
            self.after["Done"][after] = self.after["Done"].pop(-before)
        self.counts["move"] += 1

    def expunge(self, imap: imaplib.IMAP4) -> None:
        work = self.folders["Work"]
        chosen = self.chance.sample(sorted(work), self.chance.randint(1, 3))
        self.after = {**self.folders, "Work": {**work, **{uid: (work[uid][0], work[uid][1] | {"\\Deleted"}) for uid in chosen}}}
        self._ok(imap.uid("STORE", ",".join(map(str, chosen)), "+FLAGS", "(\\Deleted)"))
        self.folders = self.after
        left = {uid: what for uid, what in self.after["Work"].items() if "\\Deleted" not in what[1]}
        self.after = {**self.folders, "Work": left}
        self._ok(imap.expunge())
        self.counts["expunge"] += 1

    def arrived(self, folder: str, validity: int, uid: int, name: str) -> None:
        """Note a new UID that the program told us."""
        numbers = self.numbers[folder]
        self.complaints += [
            f"{self.user.email}/{folder}: {text}" for text in numbers.broken(validity, max(uid + 1, numbers.next), {uid: name})
        ]

    @staticmethod
    def _ok(result: tuple[str, list[bytes]], allow: str = "") -> list[bytes]:
        status, answer = result
        assert status == "OK" or (allow and allow in str(answer)), answer
        return answer


def same(found: dict[str, Folder], state: dict[str, Folder]) -> bool:
    """Compare two states; the UIDs below 0 of a letter on its way are not known yet."""
    return not difference(found, state)


def difference(found: dict[str, Folder], state: dict[str, Folder]) -> str:
    """Say how a state that was found differs from one that is allowed."""
    words = []
    for name in FOLDERS:
        known = {uid: what for uid, what in state.get(name, {}).items() if uid > 0}
        coming = sorted((what[0], sorted(what[1])) for uid, what in state.get(name, {}).items() if uid < 0)
        lost = {uid: what for uid, what in known.items() if found[name].get(uid) != what}
        extra = {uid: what for uid, what in found[name].items() if uid not in known}
        if lost:
            words.append(f"{name} lacks {lost}, has { ({uid: found[name].get(uid) for uid in lost}) }")
        if sorted((what[0], sorted(what[1])) for what in extra.values()) != coming:
            words.append(f"{name} has {extra} where {coming} was on its way")
    return "; ".join(words)


def numbers(text: bytes) -> list[int]:
    """Expand a UID set such as `3:5,9`."""
    found = []
    for part in text.split(b","):
        low, _, high = part.partition(b":")
        found += range(int(low), int(high or low) + 1)
    return found
