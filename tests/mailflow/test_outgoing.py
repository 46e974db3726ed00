"""What users send is counted once, by day and by hour, and waits where it is suspicious; nothing is lost and everybody who must hears of it."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from postroom.directory import addresses
from postroom.mailflow import allowance, outgoing
from postroom.mailflow.allowance import Allowance
from postroom.mailflow.events import MailEvent
from postroom.mailflow.outbound.carrier import Carrier
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.outgoing import Terms
from postroom.mailflow.resolver import Resolver
from postroom.model import errors
from postroom.policy import spikes
from postroom.storage.engine import Store
from postroom.storage.queries import sending
from tests.conftest import Clock, make_organization
from tests.dns import NameServer
from tests.mailflow.conftest import MakeCarrier, OpenElsewhere
from tests.mailflow.letters import letter, receive, send
from tests.mailflow.test_sieve import activate, places
from tests.people import People, add_user, inbox

FEW = Terms(spikes=spikes.Settings(least=3, times=2.0, held_octets=5000), postmaster="root@host.test")


def queued(store: Store) -> list[tuple[str, str]]:
    """List who is to get what is queued, and who holds it."""
    with store.transaction(1, write=False) as tx:
        found = tx.all("SELECT recipient, held_by FROM queue_recipients WHERE organization = :organization ORDER BY id")
    return [(recipient, by) for recipient, by in found]


@pytest.fixture
def told(store: Store) -> list[MailEvent]:
    events: list[Any] = []
    store.notifier.record(events.extend)
    return events


def far(number: int) -> list[str]:
    return [f"{chr(97 + at)}@far.test" for at in range(number)]


def test_more_than_ever_before_is_taken_but_waits(store: Store, people: People, told: list[MailEvent]) -> None:
    alice, held = people.actor("alice"), f"spikes:{people.ids['alice']}"
    send(store, alice, *far(3), terms=FEW)
    with capture_logs() as logs:
        send(store, alice, "d@far.test", "bob@example.test", terms=FEW)
        send(store, alice, "e@far.test", terms=FEW)
    send(store, people.actor("bob"), "f@far.test", terms=FEW)
    assert queued(store) == [
        *((address, held) for address in far(3)),  # which had not left
        ("root@host.test", ""),
        ("d@far.test", held),
        ("e@far.test", held),
        ("f@far.test", ""),
    ]
    assert len(inbox(store, 1, people.ids["bob"])) == 1
    assert [entry["sender"] for entry in logs if entry["event"] == "sender_held"] == ["alice@example.test"]
    alarms = [event.fields for event in told if event.name == "SENDER_HELD"]
    assert alarms == [{"sender": "alice@example.test", "recipientsThisHour": 4, "recipientsOfBusiestHour": 0}]
    waiting = [event.fields["recipients"] for event in told if event.name == "OUTGOING_EMAIL_HELD"]
    assert [list(found) for found in waiting] == [["d@far.test"], ["e@far.test"]]
    traces = {event.trace for event in told if event.name == "OUTGOING_EMAIL_HELD"}
    assert traces <= {event.trace for event in told if event.name == "OUTGOING_EMAIL_SUBMITTED"}


def test_the_administrators_get_one_letter(store: Store, people: People) -> None:
    with store.transaction(1) as tx:
        addresses.add_alias(tx, people.ids["carol"], "postmaster@example.test")
    for _ in range(3):
        send(store, people.actor("alice"), *far(2), terms=FEW)
    assert [address for address, by in queued(store) if not by] == ["postmaster@example.test"]
    with store.transaction(1, write=False) as tx:
        ((raw,),) = tx.all("SELECT content FROM queue_messages WHERE organization = :organization AND sender = ''")
        from postroom.mailbox import contents

        text = contents.read(tx, raw).decode()
    assert "Auto-Submitted: auto-generated" in text
    assert "postroom senders release alice@example.test" in text
    assert "4 recipients elsewhere in this hour, 0 in the busiest of the 30 days before" in text


def test_whoever_is_named_is_told_and_nobody_else(store: Store, people: People) -> None:
    terms = Terms(spikes=spikes.Settings(least=1, tell=("x@watch.test", "y@watch.test")), postmaster="root@host.test")
    send(store, people.actor("alice"), *far(2), terms=terms)
    assert [address for address, by in queued(store) if not by] == ["x@watch.test", "y@watch.test"]


def test_nothing_waits_where_that_is_off_or_the_sender_is_trusted(store: Store, people: People) -> None:
    send(store, people.actor("alice"), *far(9), terms=Terms(spikes=spikes.Settings(least=3, enabled=False)))
    with store.transaction(1) as tx:
        spikes.trust(tx, people.ids["bob"], tx.now + 10, "bulk")
    send(store, people.actor("bob"), *far(9), terms=FEW)
    assert {by for _, by in queued(store)} == {""}


def test_mail_for_colleagues_makes_no_spike(store: Store, people: People) -> None:
    for _ in range(5):
        send(store, people.actor("alice"), "bob@example.test", "staff@example.test", terms=FEW)
    send(store, people.actor("alice"), *far(3), terms=FEW)
    assert {by for _, by in queued(store)} == {""}


def test_a_busy_user_may_do_more(store: Store, people: People, clock: Clock) -> None:
    for number in (3, 6, 12):
        send(store, people.actor("alice"), *far(number), terms=FEW)
        clock.advance(86_400)
    send(store, people.actor("alice"), *far(24), terms=FEW)
    assert {by for _, by in queued(store)} == {""}
    send(store, people.actor("alice"), "z@far.test", terms=FEW)
    assert queued(store)[-1] == ("z@far.test", f"spikes:{people.ids['alice']}")


def test_no_more_is_held_than_there_is_room_for(store: Store, people: People) -> None:
    alice = people.actor("alice")
    send(store, alice, *far(4), terms=FEW)
    raw = letter(sender=alice.email) + b"x" * 3000 + b"\r\n"
    send(store, alice, "y@far.test", raw=raw, terms=FEW)
    with pytest.raises(errors.LimitExceeded):
        send(store, alice, "z@far.test", raw=raw, terms=FEW)
    send(store, alice, "z@far.test", terms=FEW)
    send(store, alice, "bob@example.test", raw=raw, terms=FEW)
    assert len(queued(store)) == 4 + 1 + 1 + 1


async def test_what_is_held_does_not_leave(store: Store, people: People, make_carrier: MakeCarrier, open_elsewhere: OpenElsewhere) -> None:
    elsewhere = await open_elsewhere()
    carrier = make_carrier(smarthost=f"{elsewhere.host}:{elsewhere.port}")
    await store.run(lambda: send(store, people.actor("alice"), *far(3), terms=FEW))
    await carrier.sweep()
    await store.run(lambda: send(store, people.actor("alice"), "late@far.test", terms=FEW))
    await carrier.sweep()
    gone = sorted(address for _, recipients, _ in elsewhere.got for address in recipients)
    assert gone == [*far(3), "root@host.test"]
    assert [address for address, _ in queued(store)] == ["late@far.test"]


def test_what_a_script_sends_on_counts_and_waits_too(store: Store, people: People) -> None:
    activate(store, people, "alice", 'redirect "x@far.test"; redirect "bob@example.test"; redirect "y@far.test";')
    for _ in range(3):
        receive(store, "alice@example.test", terms=FEW)
    held = f"spikes:{people.ids['alice']}"
    of_three = [("x@far.test", held), ("bob@example.test", ""), ("y@far.test", held)]
    assert queued(store) == [
        ("x@far.test", ""), ("bob@example.test", ""), ("y@far.test", ""), ("root@host.test", ""), *of_three, *of_three
    ]  # fmt: skip
    send(store, people.actor("alice"), "z@far.test", terms=FEW)
    assert queued(store)[-1] == ("z@far.test", held)


def test_automatic_replies_count_and_wait_too(store: Store, people: People) -> None:
    activate(store, people, "alice", 'require "vacation"; vacation "away";')
    for number in range(5):
        raw = f"From: s{number}@far.test\r\nTo: alice@example.test\r\n\r\nx\r\n".encode()
        receive(store, "alice@example.test", raw=raw, sender=f"s{number}@far.test", terms=FEW)
    held = f"spikes:{people.ids['alice']}"
    wanted = [(f"s{at}@far.test", held) for at in range(3)] + [("root@host.test", ""), ("s3@far.test", held), ("s4@far.test", held)]
    assert queued(store) == wanted


# The day


def test_redirects_beyond_the_days_allowance_are_kept(store: Store, people: People, clock: Clock) -> None:
    terms = Terms(Allowance(external=2))
    activate(store, people, "alice", 'redirect "x@far.test"; redirect "bob@example.test";')
    for _ in range(3):
        receive(store, "alice@example.test", terms=terms)
    assert [address for address, _ in queued(store)] == ["x@far.test", "bob@example.test"] * 2
    assert places(store, people, "alice") == {"Inbox": [0]}
    with pytest.raises(errors.LimitExceeded):
        send(store, people.actor("alice"), "x@far.test", terms=terms)
    clock.advance(86_400)
    receive(store, "alice@example.test", terms=terms)
    assert len(queued(store)) == 6


def test_what_is_refused_is_not_counted(store: Store, people: People) -> None:
    terms = Terms(Allowance(external=3))
    activate(store, people, "alice", 'redirect "x@far.test"; redirect "y@far.test";')
    for _ in range(4):
        receive(store, "alice@example.test", terms=terms)
    send(store, people.actor("alice"), "z@far.test", terms=terms)
    assert [address for address, _ in queued(store)] == ["x@far.test", "y@far.test", "z@far.test"]


def test_an_organization_has_a_day_too(store: Store, people: People, clock: Clock) -> None:
    terms = Terms(Allowance(external=3, organization=5))
    send(store, people.actor("alice"), *far(3), terms=terms)
    with pytest.raises(errors.LimitExceeded, match="Your organization may write to 5 recipients a day"):
        send(store, people.actor("bob"), *far(3), terms=terms)
    send(store, people.actor("bob"), *far(2), "carol@example.test", terms=terms)
    send(store, people.actor("bob"), "alice@example.test", terms=terms)
    with pytest.raises(errors.LimitExceeded, match="Your organization"):
        send(store, people.actor("bob"), "z@far.test", terms=terms)
    with pytest.raises(errors.LimitExceeded, match="You may write to 3 recipients a day"):
        send(store, people.actor("alice"), "z@far.test", terms=terms)
    clock.advance(86_400)
    send(store, people.actor("bob"), *far(3), terms=terms)


def test_the_test_domain_has_one_day_for_all(store: Store, people: People) -> None:
    terms = Terms(Allowance(test_domain=3))
    for name in ("alice", "bob"):
        with store.transaction(1) as tx:
            addresses.add_alias(tx, people.ids[name], f"{name}@example.postroom.test")
    sender = "alice@example.postroom.test"
    send(store, people.actor("alice"), "bob@example.test", "x@far.test", sender=sender, raw=letter(sender=sender), terms=terms)
    sender = "bob@example.postroom.test"
    with pytest.raises(errors.LimitExceeded, match="test domain"):
        send(store, people.actor("bob"), *far(2), sender=sender, raw=letter(sender=sender), terms=terms)
    send(store, people.actor("bob"), "x@far.test", sender=sender, raw=letter(sender=sender), terms=terms)
    send(store, people.actor("bob"), *far(9), terms=terms)


def test_scripts_of_users_in_the_test_domain_are_within_its_day(store: Store, people: People) -> None:
    with store.transaction(1) as tx:
        people.ids["dora"] = add_user(tx, "dora", "example.postroom.test")
    activate(store, people, "dora", 'redirect "bob@example.test";')
    for _ in range(3):
        receive(store, "dora@example.postroom.test", terms=Terms(Allowance(test_domain=2)))
    assert [address for address, _ in queued(store)] == ["bob@example.test"] * 2
    assert places(store, people, "dora") == {"Inbox": [0]}


async def test_what_comes_by_the_queue_is_sent_on_by_the_same_terms(store: Store, people: People, dns: tuple[NameServer, Resolver]) -> None:
    dns[0].failing.add("far.test")
    other = make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        dave = add_user(tx, "dave", "other.test")
    activate(store, People(other, {"dave": dave}), "dave", 'redirect "x@far.test";')
    for _ in range(2):
        await store.run(lambda: receive(store, "alice@example.test", "dave@other.test"))
    carrier = Carrier(store, dns[1], Settings(hostname="mx.example.test"), terms=Terms(Allowance(external=1)))
    await carrier.sweep()
    await carrier.close(0.5)
    assert len(inbox(store, 2, dave)) == 1
    with store.transaction(2, write=False) as tx:
        assert tx.all("SELECT recipient FROM queue_recipients WHERE organization = :organization") == [("x@far.test",)]


def test_days_that_are_over_are_forgotten(store: Store, people: People, clock: Clock) -> None:
    for name in ("alice", "bob"):
        send(store, people.actor(name), "x@far.test")
    clock.advance(86_400)
    send(store, people.actor("alice"), "x@far.test")
    with store.transaction(1) as tx:
        assert [allowance.purge(tx, 1) for _ in range(2)] == [1, 0]
        assert sending.total(tx, people.ids["alice"], int(tx.now) // 86_400, "external") == 1


def test_the_usual_terms_are_workmails() -> None:
    usual = outgoing.USUAL.allowance
    assert (usual.external, usual.organization, usual.test_domain) == (10_000, 100_000, 200)
