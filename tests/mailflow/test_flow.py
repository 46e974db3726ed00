"""The message flow: every letter's content for a day, by an id that leads to it; and what is told of letters."""

import uuid
from typing import Any

import pytest

from postroom.jobs import flow as jobs
from postroom.jobs import sweep
from postroom.mailbox import access, contents, folders, items
from postroom.mailflow import flow, inbound
from postroom.mailflow.assessment import OURS
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.events import MailEvent
from postroom.model import errors
from postroom.model.flags import Flag
from postroom.storage.engine import Store
from tests.conftest import Clock, make_organization
from tests.mailflow.conftest import MakeCarrier, OpenElsewhere
from tests.mailflow.letters import LIMITS, STRANGER, Raw, letter, receive, send
from tests.people import People, add_user, inbox

BIG = letter("big") + b"x" * 600_000 + b"\r\n"
HOUR = 3600.0


@pytest.fixture
def told(store: Store) -> list[MailEvent]:
    """What transactions tell."""
    events: list[Any] = []
    store.notifier.record(events.extend)
    return events


def names(told: list[MailEvent]) -> list[str]:
    return [event.name for event in told]


def flow_ids(told: list[MailEvent], name: str) -> list[str]:
    return list(dict.fromkeys(event.trace for event in told if event.name == name))


def empty(store: Store, owner: str) -> None:
    """Delete everything in somebody's inbox."""
    with store.transaction(1) as tx:
        mailbox = access.open_for_upkeep(tx, owner)
        folder = folders.by_role(tx, mailbox, "inbox").id
        items.set_flags(tx, mailbox, folder, [(1, 9)], "add", int(Flag.DELETED))
        assert items.expunge(tx, mailbox, folder)


def read(store: Store, id: str, scope: int = 1) -> bytes:
    with store.transaction(scope, write=False) as tx:
        return flow.read(tx, id)


def test_an_id_is_a_uuid_that_leads_to_the_organization(store: Store, people: People, told: list[MailEvent]) -> None:
    make_organization(store, number=2, alias="other")
    receive(store, "alice@example.test")
    (id,) = flow_ids(told, "ORGANIZATION_EMAIL_RECEIVED")
    place = flow.place(id)
    assert uuid.UUID(id).version == 8
    assert (place.scope, place.content) == (1, 1) if place else False
    assert read(store, id) == letter()
    with pytest.raises(errors.ItemNotFound):
        read(store, id, scope=2)
    other = id[:-1] + ("0" if id[-1] != "0" else "1")
    for wrong in (other, id.upper(), id.replace("-", ""), "", "x", str(uuid.uuid4()), "00000002" + id[8:]):
        with pytest.raises(errors.ItemNotFound):
            read(store, wrong)


def test_what_a_letter_that_comes_in_tells(store: Store, people: People, told: list[MailEvent]) -> None:
    raw = letter("Grüße", sender="s@far.test", more="Message-ID: <A1@far.test>\r\nSender: boss@far.test\r\n")
    receive(store, "ally@example.test", "staff@example.test", raw=raw, assessment=OURS)
    assert names(told) == ["ORGANIZATION_EMAIL_RECEIVED", *["MAILBOX_EMAIL_DELIVERED"] * 3]
    assert len({event.trace for event in told}) == 1
    assert {event.scope for event in told} == {1}
    assert dict(told[0].fields) == {
        "recipients": ["ally@example.test", "staff@example.test"],
        "from": "s@far.test",
        "sender": "boss@far.test",
        "subject": "Grüße",
        "messageId": "<A1@far.test>",
        "messageTimestamp": "2027-01-15T08:00:00.000Z",
    }
    places = {event.fields["recipient"]: event.fields["folder"] for event in told[1:]}
    assert places == dict.fromkeys(("alice@example.test", "bob@example.test", "carol@example.test"), "Inbox")


def test_nothing_is_told_of_what_is_undone(store: Store, people: People, told: list[MailEvent]) -> None:
    envelope = Envelope("s@far.test", ("alice@example.test",))
    prepared = inbound.prepare(store, 1, envelope, Raw(letter()), LIMITS)

    def deliver_and_fail() -> None:
        with store.transaction(1) as tx:
            inbound.deliver(tx, envelope, prepared, STRANGER)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        deliver_and_fail()
    assert told == []


async def test_nothing_is_told_of_the_one_in_a_batch_that_failed(store: Store, people: People, told: list[MailEvent]) -> None:
    receive(store, "carol@example.test", raw=BIG)
    told.clear()
    envelope = Envelope("s@far.test", ("carol@example.test",))
    prepared = inbound.prepare(store, 1, envelope, Raw(BIG.replace(b"big", b"two")), LIMITS)
    with pytest.raises(errors.OverQuota) as full:
        await store.transact(1, inbound.deliver, envelope, prepared, STRANGER)
    assert told == []
    await store.transact(1, inbound.refuse, envelope, prepared, full.value)
    assert names(told) == ["ORGANIZATION_EMAIL_RECEIVED", "INCOMING_EMAIL_BOUNCED"]
    assert told[1].fields == {
        "bouncedRecipient": {"emailAddress": "carol@example.test", "reason": "The mailbox is full", "status": "5.2.2"}
    }


async def test_a_users_letter_goes_out_and_comes_in_under_two_ids(
    store: Store, people: People, told: list[MailEvent], make_carrier: MakeCarrier, dns: Any, open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    far.answers["y@far.test"] = "550 5.1.1 nobody"
    dns[0].host("far.test")
    raw = letter("Hello", sender="alice@example.test", more="Message-ID: <A@x>\r\n")
    send(store, people.actor("alice"), "bob@example.test", "x@far.test", "y@far.test", raw=raw)
    await make_carrier(port=far.port).sweep()
    (out,) = flow_ids(told, "OUTGOING_EMAIL_SUBMITTED")
    story = [(event.name, dict(event.fields)) for event in told if event.trace == out]
    assert story[0] == (
        "OUTGOING_EMAIL_SUBMITTED",
        {"recipients": ("bob@example.test", "x@far.test", "y@far.test"), "from": "alice@example.test", "subject": "Hello"},
    )
    sent = [fields for name, fields in story if name == "OUTGOING_EMAIL_SENT"]
    assert [fields["recipient"] for fields in sent] == ["bob@example.test", "x@far.test"]
    assert {(fields["from"], fields["messageId"]) for fields in sent} == {("alice@example.test", "<A@x>")}
    (bounced,) = [fields["bouncedRecipient"] for name, fields in story if name == "OUTGOING_EMAIL_BOUNCED"]
    assert (bounced["emailAddress"], bounced["status"]) == ("y@far.test", "5.1.1")
    assert "nobody" in bounced["reason"]
    came, notice = flow_ids(told, "ORGANIZATION_EMAIL_RECEIVED")
    assert out not in (came, notice)
    delivered = [(event.trace, event.fields["recipient"]) for event in told if event.name == "MAILBOX_EMAIL_DELIVERED"]
    assert delivered == [(came, "bob@example.test"), (notice, "alice@example.test")]
    assert read(store, out) == read(store, came)
    assert b"multipart/report" in read(store, notice)


async def test_of_every_attempt_it_is_told_what_the_other_server_said(
    store: Store, people: People, told: list[MailEvent], make_carrier: MakeCarrier, dns: Any, open_elsewhere: OpenElsewhere, clock: Clock
) -> None:
    far = await open_elsewhere()
    far.answers["x@far.test"] = "450 4.2.1 busy"
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test")
    carrier = make_carrier(port=far.port)
    for _ in range(2):
        await carrier.sweep()
        clock.advance(3600)
    del far.answers["x@far.test"]
    await carrier.sweep()
    (out,) = flow_ids(told, "OUTGOING_EMAIL_SUBMITTED")
    later = [(event.name, dict(event.fields)) for event in told if event.trace == out][1:]
    delay = {"recipient": "x@far.test", "status": "4.2.1", "host": "mx.far.test", "reply": "450 4.2.1 busy"}
    assert [(name, fields.get("attempt")) for name, fields in later] == [
        ("OUTGOING_EMAIL_DELAYED", 1), ("OUTGOING_EMAIL_DELAYED", 2), ("OUTGOING_EMAIL_SENT", None)
    ]  # fmt: skip
    assert all({**fields, **delay} == fields for name, fields in later[:2])
    assert later[2][1]["reply"].startswith("250 ")


async def test_other_organizations_are_told_of_theirs(
    store: Store, people: People, told: list[MailEvent], make_carrier: MakeCarrier
) -> None:
    make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        dave = add_user(tx, "dave", "other.test", quota_mb=1)
    receive(store, "alice@example.test", "dave@other.test")
    await make_carrier().sweep()
    assert [(event.scope, event.name) for event in told] == [
        (1, "ORGANIZATION_EMAIL_RECEIVED"),
        (1, "MAILBOX_EMAIL_DELIVERED"),
        (2, "ORGANIZATION_EMAIL_RECEIVED"),
        (2, "MAILBOX_EMAIL_DELIVERED"),
    ]
    assert [event.fields["recipients"] for event in told if "RECEIVED" in event.name] == [["alice@example.test"], ["dave@other.test"]]
    assert read(store, told[2].trace, scope=2) == read(store, told[0].trace)
    assert len(inbox(store, 2, dave)) == 1


async def test_a_letter_that_waits_for_room_keeps_its_id_until_it_bounces(
    store: Store, people: People, clock: Clock, told: list[MailEvent], make_carrier: MakeCarrier
) -> None:
    receive(store, "carol@example.test", raw=BIG)
    told.clear()
    receive(store, "alice@example.test", "carol@example.test", raw=BIG.replace(b"big", b"two"))
    carrier = make_carrier()
    for _ in range(40):
        clock.advance(4 * HOUR)
        await carrier.sweep()
    assert names(told) == ["ORGANIZATION_EMAIL_RECEIVED", "MAILBOX_EMAIL_DELIVERED", "INCOMING_EMAIL_BOUNCED"]
    assert len({event.trace for event in told}) == 1
    assert told[2].fields["bouncedRecipient"]["emailAddress"] == "carol@example.test"


async def test_a_letter_that_waited_for_room_is_told_of_as_delivered(
    store: Store, people: People, clock: Clock, told: list[MailEvent], make_carrier: MakeCarrier
) -> None:
    receive(store, "carol@example.test", raw=BIG)
    told.clear()
    receive(store, "alice@example.test", "carol@example.test", raw=BIG.replace(b"big", b"two"))
    empty(store, people.ids["carol"])
    clock.advance(HOUR)
    await make_carrier().sweep()
    assert names(told) == ["ORGANIZATION_EMAIL_RECEIVED", "MAILBOX_EMAIL_DELIVERED", "MAILBOX_EMAIL_DELIVERED"]
    assert len({event.trace for event in told}) == 1


def test_a_content_outlives_its_copies_for_a_day(store: Store, people: People, clock: Clock, told: list[MailEvent]) -> None:
    receive(store, "alice@example.test")
    (id,) = flow_ids(told, "ORGANIZATION_EMAIL_RECEIVED")
    empty(store, people.ids["alice"])
    clock.advance(23 * HOUR)
    jobs.purge(store, 1)
    sweep.sweep_contents(store, 1)
    assert read(store, id) == letter()
    clock.advance(HOUR + 1)
    with pytest.raises(errors.ItemNotFound):
        read(store, id)
    assert jobs.purge(store, 1) == 1
    assert sweep.sweep_contents(store, 1) == 1
    with store.transaction(1, write=False) as tx:
        assert tx.one("SELECT COUNT(*) FROM flow_messages WHERE organization = :organization") == (0,)


def test_without_message_flow_nothing_is_kept_longer(store: Store, people: People, clock: Clock) -> None:
    receive(store, "alice@example.test")
    empty(store, people.ids["alice"])
    clock.advance(2 * HOUR)
    assert jobs.forget_all(store, 1) == 1
    assert sweep.sweep_contents(store, 1) == 1


def test_what_was_put_in_its_place_is_read_and_kept(store: Store, people: People, clock: Clock, told: list[MailEvent]) -> None:
    receive(store, "alice@example.test")
    (id,) = flow_ids(told, "ORGANIZATION_EMAIL_RECEIVED")
    prepared = contents.prepare(store, 1, letter("another"))
    with store.transaction(1) as tx:
        flow.replace(tx, id, prepared)
    clock.advance(2 * HOUR)
    assert sweep.sweep_contents(store, 1) == 0
    assert read(store, id) == letter("another")
    assert inbox(store, 1, people.ids["alice"]) == [letter()]
