"""What users move into and out of Junk Email is noted as they do it, and taught later."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from postroom.jobs import lessons as work
from postroom.mailbox import access, contents, folders, items, lessons
from postroom.mailbox.access import Mailbox
from postroom.mailflow.filters.wire import Unavailable
from postroom.model.actors import Actor
from postroom.model.organizations import Organization
from postroom.storage.engine import Store, Tx
from postroom.storage.queries import lessons as rows
from tests.conftest import Clock
from tests.people import populate


@dataclass
class Pupil:
    """A filter that remembers what it was taught, and may be away."""

    store: Store
    scope: int
    actor: Actor
    clock: Clock
    away: bool = False
    asked: int = 0
    heard: list[tuple[bytes, bool]] = field(default_factory=list)

    def learn(self, raw: bytes, spam: bool) -> bool:
        self.asked += 1
        if self.away:
            raise Unavailable("not at home")
        self.heard.append((raw.partition(b"Subject: ")[2].partition(b"\r\n")[0], spam))
        return True

    def teach(self) -> int:
        return work.teach(self.learn)(self.store, self.scope)

    def put(self, subject: str, role: str = "inbox") -> int:
        raw = f"From: a@b.test\r\nSubject: {subject}\r\n\r\nHello\r\n".encode()
        prepared = contents.prepare(self.store, self.scope, raw)
        with self.store.transaction(self.scope) as tx:
            mailbox = self.mailbox(tx)
            return items.append(tx, mailbox, self.folder(tx, mailbox, role), prepared).uid

    def take(self, uid: int, source: str, target: str, *, copy: bool = False) -> int:
        with self.store.transaction(self.scope) as tx:
            mailbox = self.mailbox(tx)
            act = items.copy if copy else items.move
            done = act(tx, mailbox, self.folder(tx, mailbox, source), [(uid, uid)], mailbox, self.folder(tx, mailbox, target))
            return done.pairs[0][1]

    def fail(self) -> None:
        """Move all letters, in a transaction that comes to nothing."""
        with self.store.transaction(self.scope) as tx:
            mailbox = self.mailbox(tx)
            moved = items.move(tx, mailbox, self.folder(tx, mailbox, "inbox"), [(1, 99)], mailbox, self.folder(tx, mailbox, "junk"))
            assert moved.pairs
            raise RuntimeError

    def waiting(self) -> int:
        with self.store.transaction(self.scope, write=False) as tx:
            return rows.count(tx, 10_000)

    def mailbox(self, tx: Tx) -> Mailbox:
        return access.open_mailbox(tx, self.actor, self.actor.user_id, access.Right.WRITE)

    def folder(self, tx: Tx, mailbox: Mailbox, role: str) -> int:
        return folders.by_role(tx, mailbox, role).id


@pytest.fixture
def pupil(store: Store, organization: Organization, clock: Clock) -> Pupil:
    people = populate(store, organization)
    return Pupil(store, organization.number, people.actor("alice"), clock)


def test_nothing_is_noted_until_somebody_teaches_and_no_more_when_nobody_does(pupil: Pupil) -> None:
    pupil.take(pupil.put("early"), "inbox", "junk")
    assert pupil.waiting() == 0
    assert pupil.teach() == 0
    pupil.take(pupil.put("later"), "inbox", "junk")
    assert pupil.waiting() == 1
    pupil.clock.advance(lessons.WANTED_SECONDS + 1)
    pupil.take(pupil.put("too late"), "inbox", "junk")
    assert pupil.waiting() == 1
    assert work.forget(pupil.store, pupil.scope) == 1
    assert work.forget(pupil.store, pupil.scope) == 0
    assert pupil.waiting() == 0


@pytest.mark.parametrize("copy", [False, True])
def test_into_junk_and_out_of_it_by_move_and_by_copy(pupil: Pupil, copy: bool) -> None:
    pupil.teach()
    pupil.take(pupil.put("buy"), "inbox", "junk", copy=copy)
    pupil.take(pupil.put("friend", "junk"), "junk", "inbox", copy=copy)
    assert pupil.teach() == 2
    assert pupil.heard == [(b"buy", True), (b"friend", False)]
    assert pupil.waiting() == 0


def test_what_says_nothing_is_not_noted(pupil: Pupil) -> None:
    pupil.teach()
    pupil.put("delivered there", "junk")
    pupil.take(pupil.put("deleted", "junk"), "junk", "trash")
    pupil.take(pupil.put("kept"), "inbox", "trash")
    pupil.take(pupil.put("copied in place", "junk"), "junk", "junk", copy=True)
    pupil.put("not moved after all")
    with pytest.raises(RuntimeError):
        pupil.fail()
    assert pupil.waiting() == 0


def test_of_a_letter_the_last_word_counts(pupil: Pupil) -> None:
    pupil.teach()
    there = pupil.take(pupil.put("mistaken"), "inbox", "junk")
    pupil.take(there, "junk", "inbox")
    assert pupil.teach() == 1
    assert pupil.heard == [(b"mistaken", False)]


def test_a_filter_that_is_away_is_asked_less_and_less_and_in_the_end_no_more(pupil: Pupil) -> None:
    pupil.teach()
    pupil.take(pupil.put("first"), "inbox", "junk")
    pupil.take(pupil.put("second"), "inbox", "junk")
    pupil.away = True
    assert (pupil.teach(), pupil.asked) == (0, 1)  # who is away is not asked about the next letter at once
    pupil.teach()
    pupil.teach()
    assert pupil.asked == 2
    pupil.clock.advance(61)
    pupil.teach()
    pupil.teach()
    pupil.teach()
    assert pupil.asked == 4
    pupil.away = False
    assert pupil.teach() == 0
    pupil.clock.advance(121)
    assert pupil.teach() == 2
    pupil.take(pupil.put("third"), "inbox", "junk")
    pupil.away = True
    pupil.clock.advance(lessons.LIFETIME_SECONDS + 1)
    pupil.teach()
    assert pupil.waiting() == 0


def test_a_letter_that_has_gone_is_not_taught(pupil: Pupil) -> None:
    pupil.teach()
    pupil.take(pupil.put("gone"), "inbox", "junk")
    with pupil.store.transaction(pupil.scope) as tx:
        tx.run("UPDATE lessons SET content = 999 WHERE organization = :organization")
    assert (pupil.teach(), pupil.asked, pupil.waiting()) == (0, 0, 0)


def test_of_a_crowd_the_first_are_taken(pupil: Pupil) -> None:
    pupil.teach()
    for number in range(lessons.MOST_AT_ONCE + 5):
        pupil.put(f"letter {number}")
    with pupil.store.transaction(pupil.scope) as tx:
        mailbox = pupil.mailbox(tx)
        items.move(tx, mailbox, pupil.folder(tx, mailbox, "inbox"), [(1, 10_000)], mailbox, pupil.folder(tx, mailbox, "junk"))
    assert pupil.waiting() == lessons.MOST_AT_ONCE
    assert pupil.teach() == lessons.MOST_AT_ONCE
