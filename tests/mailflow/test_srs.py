"""Return paths that are rewritten: bounces find their way back, and nothing else gets through them."""

import pytest

from postroom.mailflow import srs
from postroom.mailflow.resolver import Resolver
from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.storage.engine import Store
from postroom.storage.queries import queue as rows
from tests.conftest import Clock, make_organization
from tests.dns import NameServer
from tests.mailflow.conftest import MakeCarrier, OpenElsewhere
from tests.mailflow.letters import receive
from tests.mailflow.test_sieve import activate
from tests.people import People

DAY = 86_400.0
DOMAIN = "example.test"


def forward(store: Store, sender: str, domain: str = DOMAIN, scope: int = 1) -> str:
    with store.transaction(scope, write=False) as tx:
        return srs.forward(tx, sender, domain)


def reverse(store: Store, address: str, scope: int = 1) -> str | None:
    with store.transaction(scope, write=False) as tx:
        return srs.reverse(tx, address)


def waiting(store: Store) -> list[str]:
    with store.transaction(1, write=False) as tx:
        return [row[2] for row in rows.page(tx, after=0, limit=100)]


@pytest.mark.parametrize("sender", ["author@far.test", "a=b+c=d@far.test", "Author@Far.Test", "caf\u00e9@far.test"])
def test_there_and_back(store: Store, organization: Organization, sender: str) -> None:
    path = forward(store, sender)
    assert path.startswith("SRS0=")
    assert path.endswith("@example.test")
    assert reverse(store, path) == sender
    assert (reverse(store, path.lower()) or "").lower() == sender.lower()
    assert (reverse(store, path.upper()) or "").lower() == sender.lower()


@pytest.mark.parametrize("sender", ["", "nobody", '"a b"@far.test', "x@[127.0.0.1]", f"{'x' * 50}@far.test", "a b@far.test"])
def test_what_cannot_be_rewritten_stays(store: Store, organization: Organization, sender: str) -> None:
    assert forward(store, sender) == sender


def test_what_was_rewritten_before_does_not_grow(store: Store, organization: Organization) -> None:
    theirs = "SRS0=AbCd=T9=first.test=author@second.test"
    path = forward(store, theirs)
    assert path.startswith("SRS1=")
    assert path.endswith("=second.test==AbCd=T9=first.test=author@example.test")
    assert reverse(store, path) == theirs
    third = forward(store, "SRS1=XYZ=second.test==AbCd=T9=first.test=author@third.test")
    assert reverse(store, third) == theirs


def test_three_weeks(store: Store, organization: Organization, clock: Clock) -> None:
    path = forward(store, "author@far.test")
    clock.advance(21 * DAY)
    assert reverse(store, path) == "author@far.test"  # and as often as a bounce comes
    assert reverse(store, path) == "author@far.test"
    clock.advance(DAY)
    assert reverse(store, path) is None
    clock.advance(-23 * DAY)
    assert reverse(store, path) is None  # of tomorrow


def test_forged_ones_lead_nowhere(store: Store, organization: Organization) -> None:
    make_organization(store, number=2, alias="other")
    path = forward(store, "author@far.test")
    _, mark, day, rest = path.split("=", 3)
    forged = [
        path.replace("author", "victim"),
        path.replace("far.test", "evil.test"),
        path.replace("@example.test", "@example.postroom.test"),
        path.replace(mark, ("b" if mark[0] == "a" else "a") + mark[1:]),
        path.replace(mark, mark[:-1]),
        path.replace(mark, "aaaaaaaa"),
        path.replace(f"={day}=", "=a\u0661="),
        f"SRS0={mark}={'aa' if day != 'aa' else 'bb'}={rest}",
        f"SRS1={mark}=far.test=={rest}",
        f"SRS1={mark}={day}={rest}",
        "SRS0=@example.test",
        "SRS0====@example.test",
    ]
    assert [reverse(store, address) for address in forged] == [None] * len(forged)
    assert reverse(store, path, scope=2) is None


def test_only_bounces_go_back(store: Store, people: People) -> None:
    path = forward(store, "author@far.test")
    receive(store, path, sender="")
    assert waiting(store) == ["author@far.test"]
    for address, sender in ((path, "spammer@evil.test"), (path.replace("author", "victim"), "")):
        with pytest.raises(errors.TryLater):
            receive(store, address, sender=sender)
    assert waiting(store) == ["author@far.test"]


async def test_a_redirected_letter_and_its_bounce(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    """The next server refuses it when it has it, and the report reaches its author by the return path."""
    far = await open_elsewhere()
    dns[0].host("far.test")
    dns[0].host("next.test")
    activate(store, people, "alice", 'redirect "x@next.test";')
    receive(store, "alice@example.test", sender="author@far.test")
    far.answers["x@next.test"] = "550 5.1.1 nobody"
    carrier = make_carrier(port=far.port)
    await carrier.sweep()
    await carrier.sweep()
    assert [(sender, recipients) for sender, recipients, _ in far.got] == [("<>", ["author@far.test"])]
    far.answers.clear()
    far.got.clear()
    receive(store, "alice@example.test", sender="author@far.test")
    await carrier.sweep()
    assert [(reverse(store, sender), recipients) for sender, recipients, _ in far.got] == [("author@far.test", ["x@next.test"])]


def test_our_own_return_paths_stay(store: Store, people: People) -> None:
    activate(store, people, "alice", 'redirect "x@next.test";')
    receive(store, "alice@example.test", sender="bob@example.test")
    with store.transaction(1) as tx:
        assert [row[0] for row in tx.all("SELECT sender FROM queue_messages WHERE organization = :organization")] == ["bob@example.test"]
