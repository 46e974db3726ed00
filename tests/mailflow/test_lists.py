"""Letters to groups say which group that is and how to leave it; nothing goes round through them, and nothing comes back from members."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

import dkim as dkimpy
import pytest

from postroom.directory import groups, outside
from postroom.formats import headers
from postroom.mailbox import contents
from postroom.mailflow import lists, queue
from postroom.mailflow.outgoing import Terms
from postroom.mailflow.resolver import Resolver
from postroom.model import errors
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import entities, members
from tests.conftest import make_organization
from tests.dns import NameServer
from tests.mailflow.conftest import MakeCarrier, OpenElsewhere
from tests.mailflow.letters import letter, receive, send
from tests.mailflow.test_leaving import by_far, come_in, keys
from tests.mailflow.test_sieve import activate
from tests.people import People, inbox

__all__ = ["keys"]
OPEN = Terms(leave_at="https://mail.example.test")


def got(store: Store, people: People, name: str) -> list[bytes]:
    return inbox(store, 1, people.ids[name])


def link(raw: bytes) -> str:
    """The part of the link behind the path; '' where there is none."""
    found = headers.find_all(raw, "List-Unsubscribe")
    return found[0].decode().strip("<> ").rpartition(lists.PATH)[2] if found else ""


def is_member(store: Store, people: People, name: str, group: str = "staff") -> bool:
    with store.transaction(1, write=False) as tx:
        return people.ids[name] in members.all_of(tx, people.ids[group])


def test_members_get_one_letter_that_names_the_group(store: Store, people: People) -> None:
    receive(store, "staff@example.test")
    (raw,), (other,) = got(store, people, "alice"), got(store, people, "bob")
    assert raw == other
    assert raw.startswith(
        b'Return-Path: <stranger@far.test>\r\nList-Id: "staff" <staff.example.test>\r\nList-Post: <mailto:staff@example.test>\r\nPrecedence: list\r\nFrom:'
    )
    assert b"List-Unsubscribe" not in raw
    with store.transaction(1, write=False) as tx:
        (count,) = (
            tx.one("SELECT COUNT(*) FROM contents WHERE organization = :organization AND attachments = 0 AND subject = 'hello'") or ()
        )
    assert count == 2  # the letter as it came, and with the fields


def test_who_is_written_to_beside_the_group_has_the_letter_as_it_is(store: Store, people: People) -> None:
    receive(store, "alice@example.test", "staff@example.test", terms=OPEN)
    receive(store, "staff@example.test", "carol@example.test", "alice@example.test", terms=OPEN)
    for raw in (*got(store, people, "alice"), got(store, people, "carol")[1]):
        assert headers.find_all(raw, "List-Id") == []
    assert headers.find_all(got(store, people, "bob")[0], "List-Id") != []
    send(store, people.actor("bob"), "staff@example.test")
    assert headers.find(got(store, people, "alice")[2], "List-Id") == b'"staff" <staff.example.test>'


@pytest.mark.parametrize(
    ("name", "address", "identifier", "post"),
    [
        ('Sales & "more" \\ x', "sales+x@example.test", b"sales+x.example.test", "sales+x@example.test"),
        ("Vertrieb \u00fc\r\nX: y", "a..b@example.test", b"ID.example.test", "a..b@example.test"),
        ("a", "o'neil{x}@example.test", b"o'neil{x}.example.test", "o'neil{x}@example.test"),
        ("b", "gr\u00fcn@example.test", b"ID.example.test", "gr\u00fcn@example.test"),
    ],
)
def test_whatever_a_group_is_called(store: Store, people: People, name: str, address: str, identifier: bytes, post: str) -> None:
    with store.transaction(1) as tx:
        group = entities.get(tx, people.ids["staff"])
        named = replace(group, display_name=name, email=address)
    raw = lists.fields(named, "") + b"\r\n"
    assert raw.isascii()
    assert lists.identifier(named) == identifier.replace(b"ID", group.id.encode())
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert list(parsed) == ["List-Id", "List-Post", "Precedence"]
    assert parsed["List-Id"].rpartition(" ")[2] == f"<{lists.identifier(named).decode()}>"
    assert name.split()[0] in parsed["List-Id"]
    assert unquote(parsed["List-Post"]) == f"<mailto:{post}>"


def test_a_letter_does_not_come_through_a_group_twice(store: Store, people: People) -> None:
    receive(store, "staff@example.test")
    (raw,) = got(store, people, "alice")
    with pytest.raises(errors.LetterRefused, match="distributed to this group before"):
        receive(store, "staff@example.test", raw=raw)
    receive(store, "everybody@example.test", raw=raw)
    receive(store, "bob@example.test", "staff@example.test", raw=raw)
    assert [len(got(store, people, name)) for name in ("alice", "bob", "carol")] == [2, 3, 2]
    assert got(store, people, "carol") == [raw, raw]  # another list's letter stays as it is
    spelled = raw.replace(b"<staff.example.test>", b"  <Staff.Example.Test> ")
    with pytest.raises(errors.LetterRefused):
        receive(store, "staff@example.test", raw=spelled)
    with store.transaction(1, write=False) as tx:
        reports = [parcel.envelope.recipients for parcel in queue.behind(tx, 0, 10)]
    assert reports == [("stranger@far.test",)]  # for bob got it, and staff did not


async def test_a_rule_that_leads_back_to_the_group_comes_to_rest(store: Store, people: People, make_carrier: MakeCarrier) -> None:
    activate(store, people, "alice", 'require "copy"; redirect :copy "staff@example.test";')
    receive(store, "staff@example.test")
    carrier = make_carrier()
    for _ in range(5):
        await carrier.sweep()
    assert (len(got(store, people, "alice")), len(got(store, people, "bob"))) == (1, 1)


def test_each_direct_member_has_a_link_of_their_own(store: Store, people: People) -> None:
    receive(store, "everybody@example.test", terms=OPEN)
    raw = {name: got(store, people, name)[0] for name in ("alice", "bob", "carol")}
    assert [bool(link(raw[name])) for name in ("alice", "bob", "carol")] == [False, False, True]  # the others are in it by way of staff
    assert headers.find(raw["carol"], "List-Unsubscribe-Post") == b"List-Unsubscribe=One-Click"
    assert raw["alice"] == raw["bob"]
    receive(store, "staff@example.test", terms=OPEN)
    links = {name: link(got(store, people, name)[1]) for name in ("alice", "bob")}
    assert len(set(links.values())) == 2
    named = lists.read(links["alice"])
    assert named is not None
    with store.transaction(1) as tx:
        assert lists.leave(tx, named)
        assert lists.leave(tx, named)  # who is out stays out
    assert (is_member(store, people, "alice"), is_member(store, people, "bob")) == (False, True)


def test_a_link_lets_nobody_else_leave(store: Store, people: People, other: int) -> None:
    with store.transaction(1) as tx:
        good = lists.token(tx, people.ids["staff"], people.ids["alice"])
        scope, group, member, mark = good.split(".")
        forged = [
            f"{scope}.{group}.{people.ids['bob']}.{mark}",
            f"{scope}.{people.ids['everybody']}.{member}.{mark}",
            f"2.{group}.{member}.{mark}",
            f"{scope}.{group}.{member}.{'A' * 22}",
            lists.token(tx, people.ids["alice"], people.ids["bob"]),
            lists.token(tx, "gone", people.ids["bob"]),
        ]
        for text in forged:
            named = lists.read(text)
            assert named is not None
            assert not lists.leave(tx, named)
    with store.transaction(2) as tx:
        named = lists.read(f"2.{group}.{member}.{mark}")
        assert named is not None
        assert not lists.leave(tx, named)
    for text in (
        "",
        good + "x",
        good[:-1],
        good.replace(".", "/"),
        f"{REGISTRY}.{group}.{member}.{mark}",
        "1" * 5000,
        f"01.{group}.{member}.{mark}",
    ):
        assert lists.read(text) is None
    assert is_member(store, people, "alice")


@pytest.fixture
def other(store: Store) -> int:
    return make_organization(store, number=2, alias="other").number


def test_hidden_groups_and_those_of_outside_directories_are_not_left(store: Store, people: People) -> None:
    with store.transaction(1) as tx:
        named = lists.read(lists.token(tx, people.ids["staff"], people.ids["alice"]))
        assert named is not None
        groups.update(tx, "staff", hidden=True)
        assert not lists.leave(tx, named)
    receive(store, "staff@example.test", terms=OPEN)
    assert [link(got(store, people, name)[0]) for name in ("alice", "bob")] == ["", ""]
    with store.transaction(1) as tx:
        groups.update(tx, "staff", hidden=False)
        assert lists.find(tx, named) is not None
        outside.attach(tx, "d-0123456789")
        assert not lists.leave(tx, named)
    assert is_member(store, people, "alice")


def test_large_letters_and_large_groups_have_no_links(store: Store, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(store, "staff@example.test", raw=letter() + b"x" * 70 * 1000 + b"\r\n", terms=OPEN)
    assert link(got(store, people, "alice")[0])
    monkeypatch.setattr(lists, "MOST_OCTETS", 100_000)
    receive(store, "staff@example.test", raw=letter("two") + b"x" * 70 * 1000 + b"\r\n", terms=OPEN)
    raw = got(store, people, "alice")[1]
    assert (link(raw), bool(headers.find(raw, "List-Id"))) == ("", True)
    monkeypatch.setattr(lists, "MOST_COPIES", 1)
    receive(store, "staff@example.test", raw=letter("three"), terms=OPEN)
    assert link(got(store, people, "alice")[2]) == ""


def test_whoever_wrote_hears_nothing_of_a_member_without_room(store: Store, people: People) -> None:
    receive(store, "carol@example.test", raw=letter() + b"x" * 900_000 + b"\r\n")
    receive(store, "everybody@example.test", raw=letter("two") + b"y" * 300_000 + b"\r\n", terms=OPEN)
    with store.transaction(1) as tx:
        (parcel,) = queue.behind(tx, 0, 10)
        assert parcel.envelope.recipients == ("carol@example.test",)
        assert parcel.envelope.wish("carol@example.test").notify == "NEVER"
        raw = contents.read(tx, parcel.content)
    assert headers.find(raw, "List-Id") == b'"everybody" <everybody.example.test>'
    assert link(raw) == ""  # it names nobody: another may read it


async def test_what_a_member_sends_on_is_sealed_and_comes_back_to_the_member(
    store: Store, people: People, keys: Callable[..., bytes], make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:  # fmt: skip
    far = await open_elsewhere()
    dns[0].host("next.test")
    activate(store, people, "alice", 'redirect "x@next.test";')
    await come_in(store, dns[1], by_far(b"From: s@far.test\r\nTo: staff@example.test\r\n\r\ntext\r\n"), "staff@example.test", terms=OPEN)
    await make_carrier(port=far.port).sweep()
    ((sender, _, raw),) = far.got
    assert sender == "alice@example.test"
    assert dkimpy.arc_verify(raw, dnsfunc=keys)[0] == b"pass"
    assert dkimpy.verify(raw, dnsfunc=keys)
    covered = headers.find_all(raw, "ARC-Message-Signature")[0]
    assert all(name in covered for name in (b"list-id", b"list-post", b"list-unsubscribe:list-unsubscribe-post"))


async def test_a_users_letter_to_a_group_is_signed_with_the_fields_of_the_group(
    store: Store, people: People, keys: Callable[..., bytes], make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:  # fmt: skip
    far = await open_elsewhere()
    dns[0].host("next.test")
    activate(store, people, "bob", 'redirect "x@next.test";')
    send(store, people.actor("alice"), "staff@example.test", terms=OPEN)
    await make_carrier(port=far.port).sweep()
    ((sender, _, raw),) = far.got
    assert sender == "bob@example.test"
    assert dkimpy.verify(raw, dnsfunc=keys)
    named = headers.find_all(raw, "DKIM-Signature")[0].replace(b" ", b"")
    assert all(name in named for name in (b"list-id", b"list-post", b"list-unsubscribe:list-unsubscribe-post"))
    assert link(raw)
    assert not dkimpy.verify(raw.replace(b"List-Unsubscribe: <https://mail", b"List-Unsubscribe: <https://evil"), dnsfunc=keys)
