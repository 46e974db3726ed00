"""Another's mailbox in a living session: what is heard there, what is told here, and that it closes when it is closed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from postroom.directory import addresses, entities, mailboxes, registration, resources, users
from postroom.mailbox import access
from postroom.mailbox.access import Right
from postroom.model import errors
from postroom.model.actors import Actor, Protocol
from postroom.model.actors import Client as Somebody
from postroom.model.organizations import Organization
from postroom.policy import passwords, permissions
from postroom.policy.permissions import Permission
from postroom.storage.engine import Store, Tx
from tests.protocols.imap.conftest import ALICE, BOB, PASSWORD, Client, Running

FULL = Permission.FULL_ACCESS
SHARED = "Shared/alice@example.test"
SOMEWHERE = Somebody(Protocol.IMAP, "192.0.2.1", secure=True)
LETTER = b"Subject: one\r\n\r\ntext\r\n"


@pytest.fixture(autouse=True)
async def opened(server: Running, store: Store) -> None:
    """Alice's mailbox is open to bob."""
    await store.transact(1, permissions.put, "alice", "bob", {FULL})


async def append(client: Client, name: str, letter: bytes = LETTER) -> list[bytes]:
    return await client.command(b'APPEND "%b" {%d+}\r\n%b' % (name.encode(), len(letter), letter))


async def begin_idle(client: Client) -> None:
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"


async def expelled(client: Client) -> None:
    assert (await client.line()).startswith(b"* BYE ")
    assert await client.ended()


async def withdraw(store: Store) -> None:
    await store.transact(1, permissions.put, "alice", "bob", {Permission.SEND_AS})


async def delete(store: Store) -> None:
    await store.transact(1, permissions.delete, "alice", "bob")


async def deregister_owner(store: Store) -> None:
    await store.transact(1, registration.deregister, "alice")


async def deregister_user(store: Store) -> None:
    await store.transact(1, registration.deregister, "bob")


async def reset_password(store: Store) -> None:
    await store.transact(1, users.reset_password, "bob", passwords.hash("Another-Horse-8"))


@pytest.mark.parametrize("end", [withdraw, delete, deregister_owner, deregister_user])
async def test_who_is_in_a_mailbox_that_closes_is_sent_away(server: Running, store: Store, end: Callable[[Store], Awaitable[None]]) -> None:
    idle, silent, direct = (
        await server.connect(BOB, f"{SHARED}/INBOX"),
        await server.connect(BOB, f"{SHARED}/Drafts"),
        await server.connect(),
    )
    await direct.ok(f'LOGIN "{ALICE}*{BOB}" "{PASSWORD}"'.encode())
    for client in (idle, direct):
        await begin_idle(client)
    await end(store)
    for client in (idle, silent, direct):
        await expelled(client)


async def test_a_new_password_of_the_user_ends_what_it_has_opened(server: Running, store: Store) -> None:
    direct = await server.connect()
    await direct.ok(f'LOGIN "{ALICE}*{BOB}" "{PASSWORD}"'.encode())
    await reset_password(store)
    await expelled(direct)


async def test_who_has_left_hears_no_more_of_it(server: Running, store: Store) -> None:
    left, elsewhere, owner = (
        await server.connect(BOB, f"{SHARED}/INBOX"),
        await server.connect(BOB, "INBOX"),
        await server.connect(ALICE, "INBOX"),
    )
    await left.ok(b"CLOSE")
    await withdraw(store)
    for client in (left, elsewhere, owner):
        await client.ok(b"NOOP")
    assert b" NO [NOPERM]" in (await left.command(f"SELECT {SHARED}/INBOX".encode()))[-1]
    await left.ok(b"SELECT INBOX")
    await left.ok(b"NOOP")


async def test_each_hears_at_once_what_the_other_does(server: Running) -> None:
    owner, user = await server.connect(ALICE, "INBOX"), await server.connect(BOB, f"{SHARED}/INBOX")
    await begin_idle(user)
    await append(owner, "INBOX")
    assert await user.line() == b"* 1 EXISTS"
    await user.send(b"DONE\r\n")
    await user.until(b"i OK")
    await owner.ok(b"NOOP")
    await begin_idle(owner)
    await user.ok(b"STORE 1 +FLAGS.SILENT (\\Flagged $Done)")
    told = await owner.until(b"* 1 FETCH")
    assert told[0].startswith(b"* FLAGS (")
    assert b"\\Flagged $Done" in told[-1]
    await user.ok(b"UID MOVE 1 INBOX")
    assert await owner.line() == b"* 1 EXPUNGE"


async def test_letters_move_both_ways_with_their_keywords(server: Running) -> None:
    user = await server.connect(BOB, "INBOX")
    for keyword in (b"$Mine", b"$Other"):  # so that a keyword has another bit in each mailbox
        await append(user, "INBOX")
        await user.ok(b"STORE * +FLAGS.SILENT (\\Seen %b)" % keyword)
    await user.ok(f"COPY 2 {SHARED}/Drafts".encode())
    await user.ok(f"MOVE 2 {SHARED}/Drafts".encode())
    assert (await user.ok(b"FETCH 1:* (FLAGS)"))[-1] == b"* 1 FETCH (FLAGS (\\Seen $Mine \\Recent))"
    await user.ok(f"SELECT {SHARED}/Drafts".encode())
    assert await user.ok(b"SEARCH KEYWORD $Other SEEN") == [b"* SEARCH 1 2"]
    await user.ok(b"MOVE 1 INBOX")
    await user.ok(b'COPY 1 "Sent Items"')
    for name, count in (("INBOX", 2), ('"Sent Items"', 1), (f"{SHARED}/Drafts", 1)):
        assert (await user.ok(f"STATUS {name} (MESSAGES)".encode()))[0].endswith(b"(MESSAGES %d)" % count)
    await user.ok(b"SELECT INBOX")
    assert await user.ok(b"SEARCH KEYWORD $Other SEEN") == [b"* SEARCH 2"]


async def test_the_quota_is_the_owners_and_nothing_is_lost_when_it_is_full(server: Running, store: Store) -> None:
    await store.transact(1, mailboxes.set_quota, "alice", 1)
    large = b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 9000
    user = await server.connect(BOB, "INBOX")
    for _ in range(2):
        assert b" OK " in (await append(user, "INBOX", large))[-1]
    assert b" OK " in (await append(user, f"{SHARED}/INBOX", large))[-1]
    assert b" NO [OVERQUOTA]" in (await append(user, f"{SHARED}/INBOX", large))[-1]
    for verb in (b"COPY", b"MOVE"):
        assert b" NO [OVERQUOTA]" in (await user.command(b"%b 1:2 %b/INBOX" % (verb, SHARED.encode())))[-1]
    assert (await user.ok(b"STATUS INBOX (MESSAGES)"))[0].endswith(b"(MESSAGES 2)")
    assert (await user.ok(f"STATUS {SHARED}/INBOX (MESSAGES)".encode()))[0].endswith(b"(MESSAGES 1)")


async def test_the_mailbox_of_a_room(server: Running, store: Store) -> None:
    def open_room(tx: Tx) -> None:
        registration.register(tx, resources.create(tx, name="room", type="ROOM").id, "room@example.test")
        permissions.put(tx, "room", "bob", {FULL})

    await store.transact(1, open_room)
    user = await server.connect(BOB, "Shared/room@example.test/INBOX")
    assert b"* 1 EXISTS" in await append(user, "Shared/room@example.test/INBOX")


async def test_names_that_are_sent_in_other_letters_are_the_same(server: Running, store: Store) -> None:
    await store.transact(1, addresses.add_alias, "alice", "ally@example.test")
    user = await server.connect(BOB)
    assert b" NO [NOPERM]" in (await user.command(b"STATUS Shared/ally@example.test/INBOX (MESSAGES)"))[-1]
    await user.ok(b"CREATE Shared/alice@example.test/&ANw-bung")
    for name in (b"Shared/ALICE@EXAMPLE.TEST/&ANw-bung", "Shared/alice@example.test/U\u0308bung".encode()):
        assert await user.ok(b'STATUS "%b" (MESSAGES)' % name) == [b"* STATUS Shared/alice@example.test/&ANw-bung (MESSAGES 0)"]


async def test_an_address_that_is_no_level_of_a_name_is_not_listed(server: Running, store: Store) -> None:
    def lend(tx: Tx) -> None:
        user = users.create(tx, name="either", display_name="", password_hash=passwords.hash(PASSWORD))
        registration.register(tx, user.id, "either/or@example.test")
        permissions.put(tx, user.id, "bob", {FULL})

    await store.transact(1, lend)
    user = await server.connect(BOB)
    assert not [line for line in await user.ok(b'LIST "" *') if b"either" in line]
    await (direct := await server.connect()).ok(f'LOGIN "either/or@example.test*{BOB}" "{PASSWORD}"'.encode())
    await direct.ok(b"SELECT INBOX")


async def test_a_mailbox_is_opened_anew_with_each_folder(server: Running, store: Store) -> None:
    """Even where nobody has heard that it has been closed."""

    def withdraw(tx: Tx) -> None:
        permissions.delete(tx, "alice", "bob")
        tx.changes.folders.clear()

    direct, user = await server.connect(), await server.connect(BOB)
    await direct.ok(f'LOGIN "{ALICE}*{BOB}" "{PASSWORD}"'.encode())
    await direct.ok(b"SELECT INBOX")
    await store.transact(1, withdraw)
    for client, name in ((direct, "INBOX"), (user, f"{SHARED}/INBOX")):
        assert b" NO [NOPERM]" in (await client.command(f"SELECT {name}".encode()))[-1]


def test_who_acts_in_one_organization_opens_nothing_in_another(store: Store, organization: Organization) -> None:
    with store.transaction(1) as tx:
        alice = entities.get(tx, "alice")
        actor = Actor(1, organization.id, alice.id, ALICE, client=SOMEWHERE)
        assert access.open_mailbox(tx, actor, alice.id, Right.WRITE).owner == alice.id
        with pytest.raises(errors.NotPermitted):
            access.open_mailbox(tx, replace(actor, scope=2), alice.id, Right.READ)


async def test_who_leaves_does_not_listen_on(server: Running, store: Store) -> None:
    def mailbox_of(tx: Tx, name: str) -> int:
        return access.open_for_delivery(tx, entities.get(tx, name).id).id

    mailbox = await store.read(1, mailbox_of, "alice")
    clients = await asyncio.gather(*(server.connect(BOB, f"{SHARED}/INBOX") for _ in range(5)))
    assert len(store.notifier._listeners(1, mailbox)) == 5  # type: ignore[attr-defined]
    await clients[0].command(b"LOGOUT")
    assert await clients[0].ended()
    for client, command in zip(
        clients[1:], (b"CLOSE", b"UNSELECT", b"SELECT INBOX", b"SELECT Shared/alice@example.test/Drafts"), strict=True
    ):
        await client.ok(command)
    assert len(store.notifier._listeners(1, mailbox)) == 1  # type: ignore[attr-defined]
