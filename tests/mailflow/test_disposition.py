"""What is known of a stranger's letter decides where it goes, on every road that leads to a mailbox here."""

from typing import Any

import pytest

from postroom.directory import organizations
from postroom.mailbox import access, folders, items
from postroom.mailflow import disposition, estate, inbound, queue
from postroom.mailflow.assessment import (
    Assessment,
    Authentication,
    Content,
    Dmarc,
    Policy,
    Result,
    Signature,
    Spf,
    Verdict,
)
from postroom.mailflow.disposition import Circumstances, Fate
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.events import MailEvent
from postroom.mailflow.sieve import scripts
from postroom.mailflow.sieve.scripts import Limits
from postroom.model import errors
from postroom.policy import dmarc
from postroom.storage.engine import Store
from postroom.storage.queries import queue as rows
from tests.conftest import make_organization
from tests.mailflow.conftest import MakeCarrier, OpenElsewhere
from tests.mailflow.letters import LIMITS, STRANGER, Raw, letter, receive, send
from tests.mailflow.test_sieve import places
from tests.people import People, add_user

BIG = letter("big") + b"x" * 600_000 + b"\r\n"
SPAM = Assessment(content=Content(spam=Verdict.FAIL, score=2.0))


def forged(policy: Policy, *, spf: Result = Result.FAIL) -> Assessment:
    """Say of a letter that DMARC has failed, under a policy."""
    dmarc = Dmarc(Result.FAIL, "far.test", "far.test", policy, policy)
    return Assessment(Authentication(address="192.0.2.1", spf=Spf(spf, "far.test"), dmarc=dmarc))


@pytest.fixture
def dave(store: Store) -> str:
    """Somebody in a second organization."""
    other = make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        return add_user(tx, "dave", other.default_domain)


@pytest.fixture
def told(store: Store) -> list[MailEvent]:
    """What transactions tell."""
    events: list[MailEvent] = []
    store.notifier.record(events.extend)
    return events


def junk(store: Store, scope: int, owner: str) -> int:
    with store.transaction(scope, write=False) as tx:
        mailbox = access.open_for_delivery(tx, owner)
        return len(items.rows(tx, folders.by_role(tx, mailbox, "junk").id, [(1, 2**32 - 1)], ("flags",)))


def queued(store: Store) -> list[tuple[str, str]]:
    with store.transaction(1, write=False) as tx:
        return [(row[2], row[6]) for row in rows.page(tx, after=0, limit=100)]


def waiting(store: Store, scope: int = 1) -> list[Assessment]:
    with store.transaction(scope) as tx:
        return [parcel.assessment for parcel in queue.behind(tx, 0, 100)]


def test_copies_for_another_organization_and_for_a_full_mailbox_wait_with_what_is_known(store: Store, people: People, dave: str) -> None:
    known = forged(Policy.QUARANTINE)
    receive(store, "carol@example.test", raw=BIG)
    receive(store, "alice@example.test", "carol@example.test", "dave@other.test", raw=BIG.replace(b"big", b"two"), assessment=known)
    receive(store, "alice@example.test", "dave@other.test")
    assert sorted(waiting(store), key=str) == sorted([known, known, STRANGER], key=str)


async def test_a_copy_that_still_finds_no_room_waits_on_with_what_is_known(
    store: Store, people: People, dave: str, make_carrier: MakeCarrier
) -> None:
    receive(store, "carol@example.test", raw=BIG)
    receive(store, "dave@other.test", "everybody@example.test", scope=2, raw=BIG.replace(b"big", b"two"), assessment=SPAM)
    await make_carrier().sweep()
    assert waiting(store, 2) == []
    assert waiting(store) == [SPAM]


def test_what_a_deleted_organization_passes_on_is_still_known(store: Store, people: People, dave: str) -> None:
    receive(store, "alice@example.test", "dave@other.test", assessment=SPAM)
    organizations.delete(store, people.organization, force=True, settled=estate.settle)
    assert waiting(store, 2) == [SPAM]


def test_what_is_redirected_takes_with_it_what_is_known(store: Store, people: People, dave: str) -> None:
    known = forged(Policy.REJECT)
    with store.transaction(1) as tx:
        dmarc.set_enforced(tx, enforced=False)
        mailbox = access.open_for_upkeep(tx, people.ids["alice"])
        scripts.put(tx, mailbox, "rules", b'redirect "dave@other.test";', Limits())
        scripts.activate(tx, mailbox, "rules")
    receive(store, "alice@example.test", assessment=known)
    assert waiting(store) == [known]


async def test_an_automatic_reply_is_withheld_there_as_here(store: Store, people: People, dave: str, make_carrier: MakeCarrier) -> None:
    with store.transaction(2) as tx:
        mailbox = access.open_for_upkeep(tx, dave)
        scripts.put(tx, mailbox, "rules", b'require "vacation"; vacation :addresses "dave@other.test" "away";', Limits())
        scripts.activate(tx, mailbox, "rules")
    raw = letter(more="To: dave@other.test\r\n")
    receive(store, "alice@example.test", "dave@other.test", raw=raw, assessment=SPAM)
    await make_carrier().sweep()
    assert (junk(store, 2, dave), waiting(store, 2)) == (1, [])


@pytest.mark.parametrize(
    ("policy", "enforced", "refusing", "fate"),
    [
        (Policy.NONE, True, True, Fate.INBOX),
        (Policy.QUARANTINE, True, True, Fate.JUNK),
        (Policy.REJECT, True, False, Fate.DROP),
        (Policy.REJECT, True, True, Fate.BOUNCE),
        (Policy.QUARANTINE, False, False, Fate.INBOX),
        (Policy.REJECT, False, True, Fate.INBOX),
    ],
)
def test_what_the_domain_asks(policy: Policy, enforced: bool, refusing: bool, fate: Fate) -> None:
    assert disposition.decide(Circumstances(forged(policy), enforced, refusing), "alice@example.test").fate is fate


def test_a_policy_says_nothing_of_a_letter_that_dmarc_has_passed() -> None:
    passed = Assessment(Authentication(dmarc=Dmarc(Result.PASS, "far.test", "far.test", Policy.REJECT, Policy.REJECT)))
    assert disposition.decide(Circumstances(passed, enforced=True), "alice@example.test").fate is Fate.INBOX


@pytest.mark.parametrize("verdict", list(Verdict))
def test_only_what_is_surely_unwanted_is_junk(verdict: Verdict) -> None:
    fate = Fate.JUNK if verdict is Verdict.FAIL else Fate.INBOX
    for content in (Content(spam=verdict), Content(malware=verdict)):
        assert disposition.decide(Circumstances(Assessment(content=content)), "alice@example.test").fate is fate


def test_quarantine_is_junk_and_told(store: Store, people: People, told: list[MailEvent]) -> None:
    receive(store, "alice@example.test", "staff@example.test", assessment=forged(Policy.QUARANTINE))
    assert [places(store, people, name) for name in ("alice", "bob")] == [{"Junk Email": [0]}] * 2
    (applied,) = [event.fields for event in told if event.name == "DMARC_POLICY_APPLIED"]
    assert dict(applied) == {"from": "stranger@far.test", "recipients": ["alice@example.test", "staff@example.test"], "policy": "quarantine"}
    assert {event.fields["folder"] for event in told if event.name == "MAILBOX_EMAIL_DELIVERED"} == {"Junk Email"}
    assert len({event.trace for event in told}) == 1


def test_reject_is_dropped_and_told_and_nothing_is_kept(store: Store, people: People, told: list[MailEvent]) -> None:
    receive(store, "alice@example.test", assessment=forged(Policy.REJECT))
    assert (places(store, people, "alice"), waiting(store)) == ({}, [])
    assert [event.name for event in told] == ["ORGANIZATION_EMAIL_RECEIVED", "DMARC_POLICY_APPLIED"]
    assert told[1].fields["policy"] == "reject"
    with store.transaction(1, write=False) as tx:
        assert tx.one("SELECT COUNT(*) FROM contents WHERE organization = :organization") == (0,)


def test_where_dmarc_is_not_enforced_its_outcome_is_only_told(store: Store, people: People, told: list[MailEvent]) -> None:
    with store.transaction(1) as tx:
        dmarc.set_enforced(tx, enforced=False)
    receive(store, "alice@example.test", assessment=forged(Policy.REJECT))
    assert places(store, people, "alice") == {"Inbox": [0]}
    assert [event.name for event in told] == ["ORGANIZATION_EMAIL_RECEIVED", "MAILBOX_EMAIL_DELIVERED"]
    verdicts = {name: value for name, value in told[0].fields.items() if name.endswith("Verdict") or name == "dmarcPolicy"}
    assert verdicts == {
        "spamVerdict": "PASS",
        "dkimVerdict": "GRAY",
        "dmarcVerdict": "FAIL",
        "dmarcPolicy": "reject",
        "spfVerdict": "FAIL",
    }


def test_one_signature_that_holds_is_enough_and_trouble_is_trouble(store: Store, people: People, told: list[MailEvent]) -> None:
    signed = (Signature(Result.FAIL, "a.test"), Signature(Result.PASS, "far.test"))
    receive(store, "alice@example.test", assessment=Assessment(Authentication(spf=Spf(Result.TEMPERROR), dkim=signed)))
    fields = told[0].fields
    assert [fields[f"{name}Verdict"] for name in ("dkim", "dmarc", "spf")] == ["PASS", "GRAY", "PROCESSING_FAILED"]
    assert "dmarcPolicy" not in fields


async def test_each_organization_acts_by_its_own_setting(store: Store, people: People, dave: str, make_carrier: MakeCarrier) -> None:
    with store.transaction(1) as tx:
        dmarc.set_enforced(tx, enforced=False)
    receive(store, "alice@example.test", "dave@other.test", assessment=forged(Policy.QUARANTINE))
    receive(store, "alice@example.test", "dave@other.test", assessment=forged(Policy.REJECT))
    await make_carrier().sweep()
    assert (places(store, people, "alice"), junk(store, 2, dave)) == ({"Inbox": [0, 0]}, 1)


async def test_what_another_organization_drops_is_told_there(
    store: Store, people: People, dave: str, make_carrier: MakeCarrier, told: list[MailEvent]
) -> None:
    receive(store, "dave@other.test", "alice@example.test", scope=2, assessment=forged(Policy.REJECT))
    told.clear()
    await make_carrier().sweep()
    assert [(event.scope, event.name) for event in told] == [(1, "ORGANIZATION_EMAIL_RECEIVED"), (1, "DMARC_POLICY_APPLIED")]
    assert told[0].fields["recipients"] == ["alice@example.test"]


def test_refused_where_the_operator_wants_it_so(store: Store, people: People, dave: str, told: list[MailEvent]) -> None:
    known, raw = forged(Policy.REJECT), Raw(letter())
    alone = Envelope("stranger@far.test", ("alice@example.test", "bob@example.test"))
    prepared = inbound.prepare(store, 1, alone, raw, LIMITS, known)
    with pytest.raises(errors.LetterRefused, match=r"DMARC policy of far\.test") as refused, store.transaction(1) as tx:
        inbound.deliver(tx, alone, prepared, known, True)
    with store.transaction(1) as tx:
        inbound.refuse(tx, alone, prepared, refused.value, known, True)
    expected = ["ORGANIZATION_EMAIL_RECEIVED", "DMARC_POLICY_APPLIED", "INCOMING_EMAIL_BOUNCED", "INCOMING_EMAIL_BOUNCED"]
    assert [event.name for event in told] == expected
    both = Envelope("stranger@far.test", ("alice@example.test", "dave@other.test"))
    with store.transaction(1) as tx:
        inbound.deliver(tx, both, prepared, known, True)
    assert [recipient for recipient, _ in queued(store)] == ["dave@other.test"]


@pytest.mark.parametrize(
    ("known", "sender", "expected"),
    [
        (None, "a@far.test", False),
        (Authentication(spf=Spf(Result.PASS, "far.test")), "a@far.test", True),
        (Authentication(spf=Spf(Result.PASS, "far.test")), "a@FAR.test", True),
        (Authentication(spf=Spf(Result.PASS, "far.test", "helo")), "a@far.test", False),
        (Authentication(spf=Spf(Result.PASS, "other.test")), "a@far.test", False),
        (Authentication(spf=Spf(Result.SOFTFAIL, "far.test")), "a@far.test", False),
        (Authentication(spf=Spf(Result.NONE, "far.test")), "a@far.test", False),
        (Authentication(dmarc=Dmarc(Result.PASS, "far.test", dkim_aligned=True)), "a@far.test", True),
        (Authentication(dmarc=Dmarc(Result.PASS, "far.test", dkim_aligned=True)), "a@bounce.far.test", True),
        (Authentication(dmarc=Dmarc(Result.PASS, "far.test", dkim_aligned=True)), "a@nofar.test", False),
        (Authentication(dmarc=Dmarc(Result.PASS, "a.far.test", "far.test")), "a@far.test", False),
        (Authentication(dmarc=Dmarc(Result.FAIL, "far.test")), "a@far.test", False),
        (Authentication(dmarc=Dmarc(Result.PASS)), "a@far.test", False),
    ],
)
def test_whose_return_path_may_be_written_to(known: Authentication | None, sender: str, expected: bool) -> None:
    assert disposition.returnable(Assessment(known), sender) is expected
    assert disposition.returnable(Assessment(known, ours=True), sender) is bool(sender)


@pytest.mark.parametrize("spf", [Result.PASS, Result.NONE])
async def test_no_bounce_goes_to_a_return_path_that_may_be_forged(
    store: Store, people: People, dave: str, make_carrier: MakeCarrier, dns: Any, open_elsewhere: OpenElsewhere, spf: Result
) -> None:
    far = await open_elsewhere()
    dns[0].host("far.test")
    receive(store, "alice@example.test", "gone@other.test", assessment=forged(Policy.NONE, spf=spf))
    await make_carrier(port=far.port).sweep()
    assert [recipients for _, recipients, _ in far.got] == ([["stranger@far.test"]] if spf is Result.PASS else [])


async def test_our_own_users_hear_of_what_failed(store: Store, people: People, dave: str, make_carrier: MakeCarrier) -> None:
    send(store, people.actor("alice"), "gone@other.test")
    await make_carrier().sweep()
    assert places(store, people, "alice") == {"Inbox": [0]}
