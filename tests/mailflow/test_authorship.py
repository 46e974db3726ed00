"""Under whose names a letter leaves: the rules, then the letters that come out of them."""

import email
import email.policy
from email.message import EmailMessage

import pytest

from postroom.directory import groups, registration, resources
from postroom.mailflow import authorship, submission
from postroom.mailflow.allowance import Allowance
from postroom.mailflow.authorship import Heading, SenderLine
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.outgoing import Terms
from postroom.model import errors
from postroom.policy import permissions
from postroom.policy.permissions import Permission
from postroom.storage.engine import Store
from postroom.storage.queries import queue as rows
from tests.mailflow.letters import LIMITS, Raw, letter, send
from tests.people import People, add_user, inbox

ME, BOSS, CHIEF, FOE = "me@a.test", "boss@a.test", "chief@a.test", "foe@a.test"
FULL, AS, BEHALF = Permission.FULL_ACCESS, Permission.SEND_AS, Permission.SEND_ON_BEHALF
AS_IT_IS, REMOVED, SET = SenderLine.AS_IT_IS, SenderLine.REMOVED, SenderLine.SET


def decided(heading: Heading, **lent: set[Permission]) -> SenderLine | None:
    """The decision, None for a refusal; what is lent by whose name."""
    try:
        return authorship.decide(heading, {ME}, lambda address: frozenset(lent.get(address.partition("@")[0], ())))
    except errors.SenderNotAllowed:
        return None


@pytest.mark.parametrize(
    ("authors", "senders", "lent", "line"),
    [
        ((ME,), (), {}, AS_IT_IS),
        ((ME,), (ME,), {}, AS_IT_IS),
        ((ME,), (BOSS,), {"boss": {AS}}, AS_IT_IS),
        ((ME,), (BOSS,), {"boss": {BEHALF}}, None),
        ((BOSS,), (), {}, None),
        ((BOSS,), (), {"boss": {FULL}}, None),
        ((BOSS,), (), {"boss": {AS}}, AS_IT_IS),
        ((BOSS,), (ME,), {"boss": {AS}}, REMOVED),
        ((BOSS,), (BOSS,), {"boss": {AS}}, AS_IT_IS),
        ((BOSS,), (FOE,), {"boss": {AS}}, None),
        ((BOSS,), (), {"boss": {BEHALF}}, SET),
        ((BOSS,), (ME,), {"boss": {BEHALF}}, AS_IT_IS),
        ((BOSS,), (ME, ME), {"boss": {BEHALF}}, SET),
        ((BOSS,), (BOSS,), {"boss": {BEHALF}}, SET),
        ((BOSS,), (FOE,), {"boss": {BEHALF}}, SET),
        ((BOSS,), (), {"boss": {AS, BEHALF}}, AS_IT_IS),
        ((BOSS,), (ME,), {"boss": {AS, BEHALF}}, AS_IT_IS),
        ((BOSS, CHIEF), (), {"boss": {AS}}, None),
        ((BOSS, CHIEF), (), {"boss": {AS}, "chief": {BEHALF}}, SET),
        ((BOSS, CHIEF), (ME,), {"boss": {AS}, "chief": {AS}}, REMOVED),
        ((ME, BOSS), (ME,), {"boss": {AS}}, AS_IT_IS),
        ((ME, FOE), (), {"boss": {AS}}, None),
    ],
)
def test_what_is_lent_decides_and_the_sender_line_says_so(
    authors: tuple[str, ...], senders: tuple[str, ...], lent: dict[str, set[Permission]], line: SenderLine | None
) -> None:
    assert decided(Heading(authors, senders), **lent) is line


def test_a_letter_is_sent_again_under_a_name_wholly_lent() -> None:
    heading = Heading((ME,), (), (BOSS,))
    assert decided(heading, boss={AS}) is AS_IT_IS
    assert decided(heading, boss={BEHALF}) is None


def put(store: Store, owner: str, grantee: str, *values: Permission) -> None:
    with store.transaction(1) as tx:
        permissions.put(tx, owner, grantee, set(values))


def sent(store: Store, people: People, raw: bytes, sender: str, user: str = "alice") -> EmailMessage:
    """Let a user send a letter to carol, and read what carol got."""
    send(store, people.actor(user), "carol@example.test", raw=raw, sender=sender)
    return email.message_from_bytes(inbox(store, 1, people.ids["carol"])[-1], policy=email.policy.default)  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["staff", "empty", "bob", "room"])
def test_as_and_on_behalf_of_users_groups_and_resources(store: Store, people: People, name: str) -> None:
    owner = f"{name}@example.test"
    with store.transaction(1) as tx:
        registration.register(tx, resources.create(tx, name="room", type="ROOM").id, "room@example.test")
    with pytest.raises(errors.SenderNotAllowed):
        sent(store, people, letter(sender=owner), "alice@example.test")
    put(store, name, "alice", AS)
    got = sent(store, people, letter(sender=owner, more="Sender: alice@example.test\r\n"), owner)
    assert (got["From"], got["Sender"], got["Return-Path"]) == (owner, None, f"<{owner}>")
    put(store, name, "alice", BEHALF)
    got = sent(store, people, letter(sender=owner, more="sender : <stranger@far.test>\r\n"), owner)
    assert (got["From"], got.get_all("Sender"), got.get_content().strip()) == (owner, ["alice@example.test"], "text of hello")
    put(store, name, "alice")
    with pytest.raises(errors.SenderNotAllowed):
        sent(store, people, letter(sender=owner), owner)


def test_through_groups_in_groups_that_hold_each_other(store: Store, people: People) -> None:
    put(store, "carol", "everybody", BEHALF)
    assert sent(store, people, letter(sender="carol@example.test"), "bob@example.test", "bob")["Sender"] == "bob@example.test"
    with store.transaction(1) as tx:
        groups.remove_member(tx, "staff", "bob")
    with pytest.raises(errors.SenderNotAllowed):
        sent(store, people, letter(sender="carol@example.test"), "bob@example.test", "bob")


def test_to_open_a_mailbox_is_not_to_write_under_its_name(store: Store, people: People) -> None:
    put(store, "bob", "alice", FULL)
    for sender, author in (("bob@example.test", "alice@example.test"), ("alice@example.test", "bob@example.test")):
        with pytest.raises(errors.SenderNotAllowed):
            sent(store, people, letter(sender=author), sender)


def test_an_alias_is_lent_and_a_plus_address_is_nobodys(store: Store, people: People) -> None:
    put(store, "alice", "bob", AS)
    assert sent(store, people, letter(sender="Ally@example.test"), "ally@example.test", "bob")["From"] == "Ally@example.test"
    with pytest.raises(errors.SenderNotAllowed):
        sent(store, people, letter(sender="alice+tag@example.test"), "bob@example.test", "bob")


def test_recipients_count_for_who_sends(store: Store, people: People) -> None:
    put(store, "bob", "alice", AS)
    terms = Terms(Allowance(external=1))
    raw = letter(sender="bob@example.test")
    send(store, people.actor("alice"), "far@far.test", raw=raw, sender="bob@example.test", terms=terms)
    with pytest.raises(errors.LimitExceeded):
        send(store, people.actor("alice"), "far@far.test", terms=terms)
    send(store, people.actor("bob"), "far@far.test", terms=terms)
    with store.transaction(1, write=False) as tx:
        assert len(rows.page(tx, after=0, limit=10)) == 2


@pytest.mark.parametrize(("then", "error"), [((), errors.SenderNotAllowed), ((BEHALF,), errors.TryLater)])
def test_what_is_lent_when_the_letter_is_committed_counts(
    store: Store, people: People, then: tuple[Permission, ...], error: type[Exception]
) -> None:
    put(store, "bob", "alice", AS)
    alice = people.actor("alice")
    prepared = submission.prepare(store, alice, Raw(letter(sender="bob@example.test")), LIMITS)
    put(store, "bob", "alice", *then)
    with pytest.raises(error), store.transaction(1) as tx:
        submission.submit(tx, alice, Envelope("alice@example.test", ("carol@example.test",)), prepared)
    assert inbox(store, 1, people.ids["carol"]) == []


def test_a_letter_bears_so_many_names_of_others(store: Store, people: People) -> None:
    names = []
    with store.transaction(1) as tx:
        for number in range(authorship.MAX_LENT + 1):
            permissions.put(tx, add_user(tx, f"user{number}", "example.test"), "alice", {AS})
            names.append(f"user{number}@example.test")
    send(store, people.actor("alice"), "carol@example.test", raw=f"From: {', '.join(names[1:])}\r\n\r\n".encode())
    with pytest.raises(errors.MalformedMessage):
        send(store, people.actor("alice"), "carol@example.test", raw=f"From: {', '.join(names)}\r\n\r\n".encode())


@pytest.mark.parametrize(
    "line",
    [
        "From: =?utf-8?q?boss=40a.test?= , me@a.test",
        'From: me@a.test, "boss@a.test" <>',
        "From: [boss@a.test], me@a.test",
        "From: me@a.test, boss@",
        "From: me@a.test\r\nSender: boss",
        "From: me@a.test\r\nResent-From: Boss <boss>, me@a.test",
    ],
)
def test_whoever_stands_in_a_line_has_an_address(line: str) -> None:
    """A reader that decodes before it parses, or looks for anything like an address, would show another's name as the author."""
    with pytest.raises(errors.MalformedMessage, match="without an address"):
        authorship.read(f"{line}\r\n\r\n".encode())


@pytest.mark.parametrize("line", ["Me <me@a.test>,", '"boss, a.test" <me@a.test>', "us: me@a.test, boss@a.test;", "me@a.test (boss)"])
def test_lines_as_clients_write_them(line: str) -> None:
    assert authorship.read(f"From: {line}\r\n\r\n".encode()).authors[0] == ME
