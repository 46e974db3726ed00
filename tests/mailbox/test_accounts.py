"""Counts kept beside the items, after anything that people and retention may do to a mailbox in any order, are those of the items."""

import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from postroom.jobs import retention as nightly
from postroom.mailbox import access, contents, expiry, folders, items
from postroom.mailbox.access import Mailbox
from postroom.model import errors
from postroom.model.flags import Flag
from postroom.model.organizations import Organization
from postroom.policy import retention
from postroom.policy.retention import Action, Rule
from postroom.storage.engine import Store, Tx
from postroom.storage.queries import mailboxes
from tests.conftest import Clock

from .conftest import letter

DAY = 86_400.0
OWNERS = ("alice", "bob")
STEPS = 300


class Household:
    """Two mailboxes, and everything that may happen to them, at random."""

    def __init__(self, store: Store, scope: int, clock: Clock, seed: int) -> None:
        self.store, self.scope, self.clock = store, scope, clock
        self.dice = random.Random(seed)
        self.deeds: list[Callable[[Tx], None]] = [
            self.append,
            self.append,
            self.append,
            self.copy,
            self.move,
            self.flag,
            self.expunge,
            self.make_folder,
            self.delete_folder,
            self.empty_inbox,
            self.recover,
            self.set_quota,
            self.put_policy,
        ]

    def step(self) -> None:
        """Let something happen; what a mailbox has no room for does not."""
        if self.dice.random() < 0.1:
            self.clock.advance(self.dice.choice((0.5, 3, 20)) * DAY)
            nightly.apply(self.store, self.scope)
            nightly.forget(self.store, self.scope)
            return
        with suppress(errors.OverQuota, errors.FolderExists), self.store.transaction(self.scope) as tx:
            self.dice.choice(self.deeds)(tx)

    def mailbox(self, tx: Tx) -> Mailbox:
        return access.open_for_upkeep(tx, self.dice.choice(OWNERS))

    def place(self, tx: Tx) -> tuple[Mailbox, int, list[tuple[int, int]]]:
        """Choose a mailbox, a folder in it, and some of its UIDs."""
        mailbox = self.mailbox(tx)
        folder = self.dice.choice(folders.tree(tx, mailbox))
        low = self.dice.randint(1, folder.uidnext)
        return mailbox, folder.id, [(low, low + self.dice.randint(0, 8))]

    def append(self, tx: Tx) -> None:
        mailbox, folder, _ = self.place(tx)
        raw = letter(body="x" * self.dice.choice((1, 1000, 150_000)) + str(self.dice.randint(1, 9)))
        prepared = contents.prepare(self.store, self.scope, raw)
        items.append(tx, mailbox, folder, prepared, flags=self.dice.choice((0, int(Flag.SEEN))))

    def copy(self, tx: Tx) -> None:
        items.copy(tx, *self.place(tx), *self.place(tx)[:2])

    def move(self, tx: Tx) -> None:
        items.move(tx, *self.place(tx), *self.place(tx)[:2])

    def flag(self, tx: Tx) -> None:
        mask = int(self.dice.choice((Flag.SEEN, Flag.DELETED, Flag.FLAGGED)))
        items.set_flags(tx, *self.place(tx), self.dice.choice(("add", "remove", "replace")), mask)

    def expunge(self, tx: Tx) -> None:
        items.expunge(tx, *self.place(tx)[:2])

    def make_folder(self, tx: Tx) -> None:
        folders.create(tx, self.mailbox(tx), f"Own/{self.dice.randint(1, 3)}")

    def delete_folder(self, tx: Tx) -> None:
        mailbox = self.mailbox(tx)
        own = [folder.path for folder in folders.tree(tx, mailbox) if folder.path.startswith("Own/")]
        if own:
            folders.delete(tx, mailbox, self.dice.choice(own))

    def empty_inbox(self, tx: Tx) -> None:
        folders.rename(tx, self.mailbox(tx), "INBOX", f"Own/{self.dice.randint(1, 3)}")

    def recover(self, tx: Tx) -> None:
        expiry.recover(tx, self.dice.choice(OWNERS))

    def set_quota(self, tx: Tx) -> None:
        mailbox = self.mailbox(tx)
        mailboxes.set_quota(tx, mailbox.owner, self.dice.choice((1, 2, 50)))
        items.review_quota(tx, mailbox)

    def put_policy(self, tx: Tx) -> None:
        rules = [Rule(folder, self.dice.choice(list(Action)), self.dice.choice((1, 5, 10))) for folder in retention.ROLES]
        retention.put(tx, id=None, name="policy", description=None, rules=rules)


def differences(tx: Tx) -> list[object]:
    """List what the counts say that the items do not."""
    folders_off = tx.all(
        "SELECT f.mailbox, f.name, f.total, f.unseen, f.size, s.total, s.unseen, s.size FROM folders f JOIN ("
        " SELECT g.id, count(i.uid) AS total, coalesce(sum(CASE WHEN i.uid IS NOT NULL AND i.flags & 1 = 0 THEN 1 ELSE 0 END), 0) AS unseen,"
        " coalesce(sum(i.size), 0) AS size, coalesce(max(i.uid), 0) AS highest FROM folders g LEFT JOIN items i"
        " ON i.organization = g.organization AND i.folder = g.id WHERE g.organization = :organization GROUP BY g.id) s ON s.id = f.id"
        " WHERE f.organization = :organization AND ((f.total, f.unseen, f.size) <> (s.total, s.unseen, s.size) OR f.uidnext <= s.highest)"
    )
    mailboxes_off = tx.all(
        "SELECT m.id, m.used_bytes, s.size FROM mailboxes m JOIN (SELECT f.mailbox, sum(f.size) AS size, max(f.modseq) AS modseq"
        " FROM folders f WHERE f.organization = :organization AND f.holds <> 'recoverable' GROUP BY f.mailbox) s ON s.mailbox = m.id"
        " WHERE m.organization = :organization AND (m.used_bytes <> s.size OR m.modseq < s.modseq)"
    )
    strays = tx.all(
        "SELECT i.folder, i.uid FROM items i WHERE i.organization = :organization AND (NOT EXISTS (SELECT 1 FROM folders f"
        " WHERE f.organization = :organization AND f.id = i.folder) OR NOT EXISTS (SELECT 1 FROM contents c"
        " WHERE c.organization = :organization AND c.id = i.content))"
    )
    return [*folders_off, *mailboxes_off, *strays]


@pytest.mark.parametrize("seed", [1, 2])
def test_counts_are_those_of_the_items(store: Store, organization: Organization, clock: Clock, seed: int) -> None:
    household = Household(store, organization.number, clock, seed)
    with store.transaction(organization.number) as tx:
        for owner in OWNERS:
            mailboxes.create(tx, owner, 2)
    recoverable = 0
    for step in range(STEPS):
        household.step()
        with store.transaction(organization.number, write=False) as tx:
            assert differences(tx) == [], (seed, step)
            row = tx.one("SELECT sum(total) FROM folders WHERE organization = :organization AND holds = 'recoverable'")
            recoverable = max(recoverable, int((row and row[0]) or 0))
    assert recoverable
