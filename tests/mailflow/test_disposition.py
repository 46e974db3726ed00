"""What is known of a stranger's letter decides where it goes, on every road that leads to a mailbox here."""

import pytest

from postroom.directory import organizations
from postroom.mailbox import access
from postroom.mailflow import estate, queue
from postroom.mailflow.assessment import (
    OURS,
    Assessment,
    Authentication,
    Content,
    Dmarc,
    Policy,
    Result,
    Spf,
    Verdict,
)
from postroom.mailflow.sieve import scripts
from postroom.mailflow.sieve.scripts import Limits
from postroom.storage.engine import Store
from tests.conftest import make_organization
from tests.mailflow.conftest import MakeCarrier
from tests.mailflow.letters import letter, receive
from tests.people import People, add_user, inbox

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


def waiting(store: Store, scope: int = 1) -> list[Assessment]:
    with store.transaction(scope) as tx:
        return [parcel.assessment for parcel in queue.behind(tx, 0, 100)]


def test_copies_for_another_organization_and_for_a_full_mailbox_wait_with_what_is_known(store: Store, people: People, dave: str) -> None:
    known = forged(Policy.QUARANTINE)
    receive(store, "carol@example.test", raw=BIG)
    receive(store, "alice@example.test", "carol@example.test", "dave@other.test", raw=BIG.replace(b"big", b"two"), assessment=known)
    receive(store, "alice@example.test", "dave@other.test")
    assert sorted(waiting(store), key=str) == sorted([known, known, OURS], key=str)


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
    assert (len(inbox(store, 2, dave)), waiting(store, 2)) == (1, [])
