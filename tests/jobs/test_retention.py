"""Retention as people see it: boto3 sets the policy, imapclient looks at what is left, and time passes in between."""

from contextlib import contextmanager

import pytest

from postroom.jobs import retention, sweep
from postroom.mailbox import access, changes, expiry, folders
from postroom.storage.engine import Store
from tests.conftest import Clock
from tests.servers import Serving, letter, seen_size, subjects

from .conftest import DAY

FOLDERS = ("INBOX", "Sent Items", "Drafts", "Junk Email", "Deleted Items")


@contextmanager
def days(clock: Clock, number: float):
    """Let some days pass, or go back, for a block."""
    clock.advance(number * DAY)
    yield
    clock.advance(-number * DAY)


def policy(server: Serving, *folders: tuple, **more) -> None:
    given = [dict(zip(("Name", "Action", "Period"), one, strict=False)) for one in folders]
    server.call("put_retention_policy", Name="nightly", FolderConfigurations=given, **more)


def run(server: Serving) -> int:
    return retention.apply(server.store, server.scope)


@pytest.mark.effect("PutRetentionPolicy")
def test_each_folder_goes_its_way(server: Serving, clock: Clock) -> None:
    server.hire("alice")
    alice = server.imap("alice")
    alice.create_folder("INBOX/Below")
    with days(clock, -40):
        for folder in (*FOLDERS, "INBOX/Below"):
            alice.append(folder, letter(f"old {folder}"), ["\\Flagged"])
    for folder in FOLDERS:
        alice.append(folder, letter(f"new {folder}"))
    policy(
        server,
        ("INBOX", "DELETE", 30),
        ("SENT_ITEMS", "PERMANENTLY_DELETE", 39),
        ("DRAFTS", "NONE", 1),
        ("JUNK_EMAIL", "PERMANENTLY_DELETE", 41),
        ("DELETED_ITEMS", "DELETE", 5),
    )
    watching = server.imap("alice")
    watching.select_folder("INBOX")
    watching.idle()
    assert run(server) == 3
    assert (1, b"EXPUNGE") in watching.idle_check(timeout=20)
    watching.idle_done()
    assert subjects(alice, "INBOX") == ["new INBOX"]
    assert subjects(alice, "INBOX/Below") == ["old INBOX/Below"]
    assert subjects(alice, "Sent Items") == ["new Sent Items"]
    assert subjects(alice, "Drafts") == ["old Drafts", "new Drafts"]
    assert subjects(alice, "Junk Email") == ["old Junk Email", "new Junk Email"]
    assert subjects(alice, "Deleted Items") == ["new Deleted Items", "old INBOX"]
    moved = alice.fetch(alice.search(["FLAGGED"]), ["FLAGS"])
    assert [b"\\Flagged" in one[b"FLAGS"] for one in moved.values()] == [True]
    assert server.used("alice") == seen_size(alice)
    assert run(server) == 0


def test_what_left_deleted_items_can_be_recovered_for_thirty_days(server: Serving, clock: Clock) -> None:
    owner = server.hire("alice")
    alice = server.imap("alice")
    with days(clock, -10):
        alice.append("Deleted Items", letter("lost"))
    policy(server, ("DELETED_ITEMS", "DELETE", 9))
    before = alice.list_folders()
    assert run(server) == 1
    assert subjects(alice, "Deleted Items") == []
    assert alice.list_folders() == before
    assert not alice.folder_exists("Recoverable Items/Deletions")
    assert (server.used("alice"), seen_size(alice)) == (0, 0)
    with server.store.transaction(server.scope) as tx:
        assert expiry.recover(tx, owner) == 1
        assert expiry.recover(tx, owner) == 0
    assert subjects(alice, "Deleted Items") == ["lost"]
    assert server.used("alice") == seen_size(alice) > 0
    with days(clock, 9):
        assert run(server) == 1  # it has been recovered, and is old again
    with days(clock, 38):
        assert run(server) == 0
        assert sweep.sweep_contents(server.store, server.scope) == 0
    with days(clock, 40):
        assert run(server) == 1
        assert sweep.sweep_contents(server.store, server.scope) == 1
    with server.store.transaction(server.scope) as tx:
        assert expiry.recover(tx, owner) == 0
    assert server.used("alice") == 0


def test_what_somebody_did_with_a_message_makes_it_young(server: Serving, clock: Clock) -> None:
    server.hire("alice")
    alice = server.imap("alice")
    clock.advance(-60 * DAY)
    for subject in ("read", "moved", "left"):
        alice.append("INBOX", letter(subject))
    alice.append("Drafts", letter("put back"))
    run(server)  # the mark of a night
    clock.advance(50 * DAY)
    alice.select_folder("INBOX")
    alice.add_flags(alice.search(["SUBJECT", "read"]), ["\\Seen"])
    alice.move(alice.search(["SUBJECT", "moved"]), "Drafts")
    alice.select_folder("Drafts")
    alice.move(alice.search(["SUBJECT", "put"]), "INBOX")
    run(server)
    clock.advance(10 * DAY)
    policy(server, ("INBOX", "PERMANENTLY_DELETE", 30), ("DRAFTS", "PERMANENTLY_DELETE", 30))
    assert run(server) == 1
    assert subjects(alice, "INBOX") == ["read", "put back"]
    assert subjects(alice, "Drafts") == ["moved"]
    clock.advance(21 * DAY)
    assert run(server) == 3


@pytest.mark.effect("DeleteRetentionPolicy", "GetDefaultRetentionPolicy")
def test_without_its_policy_everything_stays(server: Serving, clock: Clock) -> None:
    server.hire("alice")
    alice = server.imap("alice")
    with days(clock, -700):
        alice.append("INBOX", letter("kept"))
    policy(server, ("INBOX", "PERMANENTLY_DELETE", 1))
    server.call("delete_retention_policy", Id=server.call("get_default_retention_policy")["Id"])
    assert run(server) == 0
    assert subjects(alice, "INBOX") == ["kept"]


def test_a_policy_that_changes_meanwhile_is_obeyed_at_once(server: Serving, clock: Clock) -> None:
    owner = server.hire("alice")
    alice = server.imap("alice")
    with days(clock, -10):
        alice.append("INBOX", letter("kept"))
    policy(server, ("INBOX", "PERMANENTLY_DELETE", 9))
    with server.store.transaction(server.scope, write=False) as tx:
        found = expiry.find(tx, owner, "inbox", after=0)
    assert len(found) == 1
    policy(server, ("INBOX", "PERMANENTLY_DELETE", 11))
    with server.store.transaction(server.scope) as tx:
        assert expiry.carry_out(tx, owner, "inbox", found) == 0
    assert subjects(alice, "INBOX") == ["kept"]


def test_a_message_that_is_read_meanwhile_stays(server: Serving, clock: Clock) -> None:
    owner = server.hire("alice")
    alice = server.imap("alice")
    with days(clock, -10):
        alice.append("INBOX", letter("read just now"))
        alice.append("INBOX", letter("left"))
    policy(server, ("INBOX", "PERMANENTLY_DELETE", 9))
    with server.store.transaction(server.scope, write=False) as tx:
        found = expiry.find(tx, owner, "inbox", after=0)
    assert len(found) == 2
    alice.select_folder("INBOX")
    alice.add_flags(found[:1], ["\\Seen"])
    with server.store.transaction(server.scope) as tx:
        assert expiry.carry_out(tx, owner, "inbox", found) == 1
    assert subjects(alice, "INBOX") == ["read just now"]


def test_a_mailbox_that_waits_for_its_owner_waits_as_it_is(server: Serving, clock: Clock) -> None:
    owner = server.hire("alice")
    with days(clock, -10):
        server.send("alice", letter("kept"))
    policy(server, ("INBOX", "PERMANENTLY_DELETE", 9))
    server.call("deregister_from_work_mail", EntityId=owner)
    assert run(server) == 0
    with server.store.transaction(server.scope) as tx:  # it was listed before
        assert expiry.find(tx, owner, "inbox", after=0) == []
        assert expiry.carry_out(tx, owner, "inbox", [1]) == 0
    server.call("register_to_work_mail", EntityId=owner, Email=server.address("alice"))
    assert subjects(server.imap("alice"), "INBOX") == ["kept"]
    assert run(server) == 1


def test_more_than_a_batch_goes_in_order_and_what_is_young_stays(server: Serving, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "BATCH", 7)
    server.hire("alice")
    alice = server.imap("alice")
    names = [f"letter {number:02}" for number in range(30)]
    with days(clock, -20):
        for name in names:
            alice.append("INBOX", letter(name))
        run(server)  # the mark of a night
    alice.select_folder("INBOX")
    alice.add_flags(alice.search()[::10], ["\\Flagged"])
    policy(server, ("INBOX", "DELETE", 10))
    assert run(server) == 27
    assert subjects(alice, "INBOX") == names[::10]
    assert subjects(alice, "Deleted Items") == [name for number, name in enumerate(names) if number % 10]


def test_what_came_while_the_clock_was_wrong_is_as_young_as_what_came_before(server: Serving, clock: Clock) -> None:
    server.hire("alice")
    alice = server.imap("alice")
    with days(clock, -20):
        alice.append("INBOX", letter("old"))
    with days(clock, 400):
        alice.append("INBOX", letter("of another year"))
    with days(clock, -15):
        alice.append("INBOX", letter("old, too"))
    alice.append("INBOX", letter("young"))
    with days(clock, -20_000):
        server.send("alice", letter("of 1970"))
    policy(server, ("INBOX", "PERMANENTLY_DELETE", 10))
    assert run(server) == 2
    assert subjects(alice, "INBOX") == ["of another year", "young", "of 1970"]


def test_old_tombstones_are_forgotten_and_who_comes_back_is_told_what_is_gone(
    store: Store, server: Serving, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "FORGOTTEN_AT_ONCE", 2)
    owner = server.hire("alice")
    alice = server.imap("alice")
    for number in range(8):
        alice.append("INBOX", letter(f"letter {number}"))

    def state():
        with store.transaction(server.scope, write=False) as tx:
            return folders.by_role(tx, access.open_for_upkeep(tx, owner), "inbox")

    def since(modseq: int):
        with store.transaction(server.scope, write=False) as tx:
            return changes.since(tx, state().id, modseq)

    def expunge(*uids: int) -> None:
        alice.select_folder("INBOX")
        alice.delete_messages(uids)
        alice.expunge()

    known = state().modseq
    expunge(1, 2, 3, 4, 5)
    middle = state().modseq
    assert retention.forget(store, server.scope) == 0
    clock.advance(changes.TOMBSTONE_DAYS * DAY - 1)
    assert retention.forget(store, server.scope) == 0
    expunge(6)
    clock.advance(2)
    assert retention.forget(store, server.scope) == 5
    assert retention.forget(store, server.scope) == 0
    assert since(known).gone == [1, 2, 3, 4, 5, 6]
    assert since(middle).gone == [6]
    assert since(state().modseq).gone == []
    assert [uid for uid, _, _ in since(known).changed] == []
    assert [uid for uid, _, _ in since(1).changed] == [7, 8]


def test_marks_are_made_when_something_has_changed_and_go_when_they_say_nothing_more(server: Serving, clock: Clock) -> None:
    owner = server.hire("alice")

    def marks() -> list[float]:
        with server.store.transaction(server.scope, write=False) as tx:
            mailbox = access.open_for_upkeep(tx, owner).id
            rows = tx.all("SELECT noted_at FROM change_marks WHERE organization = :organization AND mailbox = :mailbox", mailbox=mailbox)
        return sorted(noted_at for (noted_at,) in rows)

    nights = []
    for night in range(6):
        if night % 2 == 0:
            server.send("alice", letter("another"))
            nights.append(clock.now)
        run(server)
        clock.advance(DAY)
    assert marks() == nights
    clock.now = nights[1] + changes.MARK_DAYS * DAY
    retention.forget(server.store, server.scope)
    assert marks() == nights[1:]
    clock.advance(1000 * DAY)
    retention.forget(server.store, server.scope)
    assert marks() == nights[-1:]


def test_a_resource_keeps_mail_by_the_same_policy(server: Serving, clock: Clock) -> None:
    room = server.call("create_resource", Name="room", Type="ROOM")["ResourceId"]
    server.call("register_to_work_mail", EntityId=room, Email="room@example.test")
    with days(clock, -3):
        server.send("room", letter("old"))
    policy(server, ("INBOX", "PERMANENTLY_DELETE", 2))
    assert run(server) == 1
    assert server.call("get_mailbox_details", UserId=room)["MailboxSize"] == 0.0
