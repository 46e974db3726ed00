from concurrent.futures import ThreadPoolExecutor

import pytest

from postroom.directory import entities, registration, users
from postroom.jobs import retention, sweep
from postroom.mailbox import access, contents, folders, items, keywords
from postroom.mailbox.access import Mailbox
from postroom.model import errors
from postroom.model.flags import Flag

HOUR = 3600.0
DAY = 24 * HOUR


def letter(size: int, text: str = "x") -> bytes:
    return b"Subject: sweep\r\n\r\n" + (text.encode() * size)[:size] + b"\r\n"


@pytest.fixture
def user(store, organization) -> str:
    with store.transaction(organization.number) as tx:
        made = users.create(tx, name="alice", display_name="Alice")
        registration.register(tx, made.id, "alice@example.test")
        return made.id


def deliver(store, scope: int, owner: str, raw: bytes) -> tuple[Mailbox, int, int]:
    """Append a letter; give (mailbox, folder, content)."""
    prepared = contents.prepare(store, scope, raw)
    with store.transaction(scope) as tx:
        mailbox = access.open_for_delivery(tx, owner)
        inbox = folders.by_role(tx, mailbox, "inbox")
        assert inbox is not None
        items.append(tx, mailbox, inbox.id, prepared)
        return mailbox, inbox.id, contents.keep(tx, prepared)


def kept(store, scope: int, content: int) -> bool:
    with store.transaction(scope, write=False) as tx:
        try:
            contents.read(tx, content)
        except errors.ItemNotFound:
            return False
        return True


@pytest.mark.parametrize("size", [1000, 400_000], ids=["in a row", "in a file"])
def test_a_content_goes_an_hour_after_nothing_refers_to_it(store, organization, clock, size):
    scope = organization.number
    prepared = contents.prepare(store, scope, letter(size))
    with store.transaction(scope) as tx:
        content = contents.keep(tx, prepared)
    clock.advance(HOUR - 1)
    assert sweep.sweep_contents(store, scope) == 0
    assert kept(store, scope, content)
    clock.advance(2)
    assert sweep.sweep_contents(store, scope) == 1
    assert not kept(store, scope, content)


def test_what_an_item_refers_to_stays(store, organization, user, clock):
    _, _, content = deliver(store, organization.number, user, letter(2000))
    clock.advance(365 * DAY)
    assert sweep.sweep_contents(store, organization.number) == 0
    assert kept(store, organization.number, content)


def test_the_sweep_looks_at_a_page_at_a_time_and_at_all(store, organization, user, clock, monkeypatch):
    scope = organization.number
    monkeypatch.setattr(contents, "_SWEEP_PAGE", 2)
    used = [deliver(store, scope, user, letter(100, str(number)))[2] for number in range(3)]
    with store.transaction(scope) as tx:
        unused = [contents.keep(tx, contents.prepare(store, scope, letter(100, mark))) for mark in "abc"]
    clock.advance(2 * HOUR)
    with store.transaction(scope) as tx:
        assert contents.sweep(tx, unused_for=HOUR) == (used[1], 0)
        assert contents.sweep(tx, unused_for=HOUR, after=used[1]) == (unused[0], 1)
    assert sweep.sweep_contents(store, scope) == 2
    assert [kept(store, scope, content) for content in used + unused] == [True] * 3 + [False] * 3


def test_files_without_a_row_go_and_others_stay(store, organization, user, monkeypatch):
    scope = organization.number
    _, _, content = deliver(store, scope, user, letter(400_000))
    orphan = contents.prepare(store, scope, letter(400_000, "y")).blob.file
    assert orphan
    assert sweep.sweep_files(store, scope) == 0  # younger than an hour
    monkeypatch.setattr(sweep, "UNUSED_SECONDS", 0.0)
    assert sweep.sweep_files(store, scope) == 1
    assert list(store.blobs(scope).files(older_than=0.0)) != []
    assert kept(store, scope, content)


def test_writers_do_not_wait_for_a_look_at_every_file(store, organization, monkeypatch):
    scope = organization.number
    assert contents.prepare(store, scope, letter(400_000)).blob.file
    monkeypatch.setattr(sweep, "UNUSED_SECONDS", 0.0)
    with ThreadPoolExecutor(1) as threads, store.transaction(scope):
        assert threads.submit(sweep.sweep_files, store, scope).result(5) == 1


def test_a_parked_mailbox_is_purged_after_thirty_days(store, organization, user, clock):
    scope = organization.number
    _, _, content = deliver(store, scope, user, letter(2000))
    with store.transaction(scope) as tx:
        registration.deregister(tx, user)
    clock.advance(30 * DAY - 1)
    assert sweep.purge_mailboxes(store, scope) == 0
    clock.advance(2)
    assert sweep.purge_mailboxes(store, scope) == 1
    assert sweep.purge_mailboxes(store, scope) == 0
    assert sweep.sweep_contents(store, scope) == 1
    assert not kept(store, scope, content)
    with store.transaction(scope) as tx:
        registration.register(tx, user, "alice@example.test")
        assert entities.get(tx, user).enabled
        mailbox = access.open_for_delivery(tx, user)
        assert [folder.total for folder in folders.tree(tx, mailbox)] == [0] * 5


def test_nothing_is_left_of_a_purged_mailbox(store, organization, user, clock):
    scope = organization.number
    deliver(store, scope, user, letter(100, "a"))
    _, inbox, _ = deliver(store, scope, user, letter(100, "b"))
    with store.transaction(scope) as tx:
        mailbox = access.open_for_upkeep(tx, user)
        mask = keywords.mask(tx, mailbox, ["$Own"], create=True)
        items.set_flags(tx, mailbox, inbox, [(1, 1)], "add", mask | int(Flag.DELETED))
        items.expunge(tx, mailbox, inbox)
        folders.create(tx, mailbox, "Own")
        folders.delete(tx, mailbox, "Own")
        folders.subscribe(tx, mailbox, "Absent", True)
    retention.apply(store, scope)

    def rows(table: str) -> int:
        with store.transaction(scope, write=False) as tx:
            return tx.one(f"SELECT count(*) FROM {table} WHERE organization = :organization")[0]

    tables = ("mailboxes", "folders", "items", "tombstones", "folder_tombstones", "absent_subscriptions", "keywords", "change_marks")
    assert all(rows(table) for table in tables)
    with store.transaction(scope) as tx:
        registration.deregister(tx, user)
    clock.advance(31 * DAY)
    assert sweep.purge_mailboxes(store, scope) == 1
    assert [table for table in tables if rows(table)] == []


def test_a_mailbox_that_is_wanted_again_is_not_purged(store, organization, user, clock):
    scope = organization.number
    deliver(store, scope, user, letter(2000))
    with store.transaction(scope) as tx:
        registration.deregister(tx, user)
    clock.advance(29 * DAY)
    with store.transaction(scope) as tx:
        registration.register(tx, user, "alice@example.test")
    clock.advance(2 * DAY)
    assert sweep.purge_mailboxes(store, scope) == 0
    with store.transaction(scope, write=False) as tx:
        mailbox = access.open_for_delivery(tx, user)
        inbox = folders.by_role(tx, mailbox, "inbox")
        assert inbox is not None
        assert inbox.total == 1
