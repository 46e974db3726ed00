"""Records of letters: one each, with the envelope and the letter, and none of themselves."""

import email
import email.policy
from email.message import EmailMessage
from typing import Any

import pytest

from postroom.mailflow.events import MailEvent
from postroom.model import errors
from postroom.policy import journaling
from postroom.storage.engine import Store
from postroom.storage.queries import queue as rows
from tests.conftest import make_organization
from tests.mailflow.conftest import MakeCarrier, OpenElsewhere
from tests.mailflow.letters import letter, receive, send
from tests.people import People, add_user, inbox


@pytest.fixture
def told(store: Store) -> list[MailEvent]:
    """What transactions tell."""
    events: list[Any] = []
    store.notifier.record(events.extend)
    return events


@pytest.fixture
def journal(store: Store, people: People) -> str:
    """The test domain of the organization, and records to bob, failures to carol."""
    with store.transaction(1) as tx:
        tx.run("UPDATE domains SET test = 1 WHERE organization = :organization")
        found = journaling.start(tx, "bob@example.test", "carol@example.test")
    return found.sender


def queued(store: Store, scope: int = 1) -> list[tuple[str, str]]:
    with store.transaction(scope, write=False) as tx:
        return [(row[6], row[2]) for row in rows.page(tx, after=0, limit=100)]


def records(store: Store, people: People) -> list[EmailMessage]:
    found = [email.message_from_bytes(raw, policy=email.policy.default) for raw in inbox(store, 1, people.ids["bob"])]
    return [one for one in found if "amazonjournaling@" in one["From"]]


async def test_a_letter_that_comes_in_is_recorded_once(
    store: Store, people: People, journal: str, told: list[MailEvent], make_carrier: MakeCarrier
) -> None:
    raw = letter("Grüße", more="Message-ID: <a@far.test>\r\nSender: boss@far.test\r\n")
    receive(store, "alice@example.test", "staff@example.test", raw=raw)
    assert queued(store) == [("carol@example.test", "bob@example.test")]
    await make_carrier().sweep()
    assert queued(store) == []
    (record,) = records(store, people)
    assert (record["To"], record["From"]) == ("bob@example.test", journal)
    text, original = list(record.iter_parts())
    assert text.get_content().splitlines() == [
        "Sender: boss@far.test",
        "Subject: Grüße",
        "Message-Id: <a@far.test>",
        "Recipient: alice@example.test",
        "Recipient: staff@example.test",
    ]
    assert raw.removeprefix(b"Return-Path: <stranger@far.test>\r\n") in inbox(store, 1, people.ids["bob"])[-1]
    assert original.get_content_type() in ("message/rfc822", "message/global")
    (initiated,) = [event for event in told if event.name == "JOURNALING_INITIATED"]
    assert (initiated.fields, initiated.trace) == ({"journalingAddress": "bob@example.test"}, told[0].trace)


async def test_a_letter_that_goes_out_is_recorded_once_with_all_recipients(
    store: Store, people: People, journal: str, make_carrier: MakeCarrier, told: list[MailEvent]
) -> None:
    other = make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        add_user(tx, "dave", other.default_domain)
        tx.run("UPDATE domains SET test = 1 WHERE organization = :organization")
        journaling.start(tx, "dave@other.test", "dave@other.test")
    send(store, people.actor("alice"), "carol@example.test", "dave@other.test")
    await make_carrier().sweep()
    (record,) = records(store, people)
    text = next(iter(record.iter_parts())).get_content()
    assert text.splitlines()[-2:] == ["Recipient: carol@example.test", "Recipient: dave@other.test"]
    assert [event.scope for event in told if event.name == "JOURNALING_INITIATED"] == [1, 2]


async def test_a_record_that_cannot_be_delivered_is_reported_and_makes_no_more(
    store: Store, people: People, journal: str, make_carrier: MakeCarrier, dns: Any, open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    far.answers["RCPT"] = "550 5.1.1 No"
    dns[0].host("archive.test")
    with store.transaction(1) as tx:
        journaling.start(tx, "all@archive.test", "carol@example.test")
    receive(store, "alice@example.test")
    await make_carrier(port=far.port).sweep()
    assert (queued(store), far.connections) == ([], 1)
    assert [b"multipart/report" in raw for raw in inbox(store, 1, people.ids["carol"])] == [True]


async def test_two_organizations_that_record_for_each_other_come_to_rest(store: Store, people: People, make_carrier: MakeCarrier) -> None:
    other = make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        add_user(tx, "dave", other.default_domain)
    for scope, address in ((1, "dave@other.test"), (2, "bob@example.test")):
        with store.transaction(scope) as tx:
            tx.run("UPDATE domains SET test = 1 WHERE organization = :organization")
            journaling.start(tx, address, address)
    receive(store, "alice@example.test")
    await make_carrier().sweep()
    assert (queued(store), queued(store, 2), inbox(store, 1, people.ids["bob"])) == ([], [], [])


def test_off(store: Store, people: People, journal: str) -> None:
    with store.transaction(1) as tx:
        assert journaling.find(tx) is not None
        assert journaling.stop(tx)
        assert not journaling.stop(tx)
    receive(store, "alice@example.test")
    assert queued(store) == []
    with store.transaction(1) as tx, pytest.raises(errors.InvalidParameter):
        journaling.start(tx, "no address", "carol@example.test")
