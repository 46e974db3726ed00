"""Clients that wait: verified once, remembered, slowed down."""

import asyncio
import itertools
import time
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from postroom.directory import addresses, registration, users
from postroom.model import errors
from postroom.model.actors import Action, Actor, Client, Credentials, Protocol
from postroom.model.organizations import Organization
from postroom.policy import access_rules, authenticator, passwords, permissions, throttle
from postroom.policy.access_rules import AccessRule, Conditions, Effect
from postroom.policy.authenticator import Authenticator
from postroom.policy.permissions import Permission
from postroom.policy.settings import Settings
from postroom.storage.engine import Store
from tests.conftest import Clock

PASSWORD = "Open-Sesame-1"
HASH = passwords.hash(PASSWORD)
CLIENT = Client(Protocol.IMAP, "192.0.2.1", secure=True)


class Counted:
    """Counts the real verifications."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._verify: Callable[[str, str], bool] = passwords.verify
        monkeypatch.setattr(passwords, "verify", self)

    def __call__(self, stored: str, password: str) -> bool:
        self.count += 1
        return self._verify(stored, password)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def add_user(store: Store, organization: Organization, name: str, stored: str = HASH) -> str:
    with store.transaction(organization.number) as tx:
        user = users.create(tx, name=name, display_name="", password_hash=stored)
        registration.register(tx, user.id, f"{name}@example.test")
    return user.id


@pytest.fixture
def alice(store: Store, organization: Organization) -> str:
    return add_user(store, organization, "alice")


@pytest.fixture
def door(store: Store, clock: Clock) -> Authenticator:
    return Authenticator(store, clock)


async def enter(door: Authenticator, name: str = "alice@example.test", password: str = PASSWORD, address: str = "192.0.2.1") -> Actor:
    return await door.authenticate(Credentials(name, password), Client(Protocol.IMAP, address, secure=True))


async def test_the_right_password_gives_the_actor(door: Authenticator, organization: Organization, alice: str) -> None:
    assert await enter(door) == Actor(organization.number, organization.id, alice, "alice@example.test", CLIENT)


async def test_every_failure_reads_the_same(door: Authenticator, alice: str, verified: Counted) -> None:
    texts = set()
    tried = [
        ("alice@example.test", "wrong"),
        ("bob@example.test", PASSWORD),
        ("alice@elsewhere.test", PASSWORD),
        ("alice", PASSWORD),
    ]
    for name, password in tried:
        with pytest.raises(errors.SignInFailed) as failed:
            await enter(door, name, password)
        texts.add(failed.value.text)
    assert len(texts) == 1
    assert verified.count == len(tried)
    for name, password in (("a" * 400 + "@example.test", PASSWORD), ("alice@example.test", "x" * 5000)):
        with pytest.raises(errors.SignInFailed):
            await enter(door, name, password)
    assert verified.count == len(tried), "what is too long is not even hashed"


async def test_a_verified_password_is_remembered_for_five_minutes(door: Authenticator, alice: str, clock: Clock, verified: Counted) -> None:
    for _ in range(3):
        await enter(door)
    await enter(door, "ALICE@EXAMPLE.TEST")
    assert verified.count == 1
    clock.advance(authenticator.REMEMBERED_SECONDS)
    await enter(door)
    assert verified.count == 2


async def test_a_new_password_makes_the_memory_worthless(store: Store, organization: Organization, door: Authenticator, alice: str) -> None:
    await enter(door)
    with store.transaction(organization.number) as tx:
        users.reset_password(tx, alice, passwords.hash("Another-One-2"))
    with pytest.raises(errors.SignInFailed):
        await enter(door)
    assert (await enter(door, password="Another-One-2")).user_id == alice


async def test_deregistration_works_at_once(store: Store, organization: Organization, door: Authenticator, alice: str) -> None:
    await enter(door)
    with store.transaction(organization.number) as tx:
        registration.deregister(tx, alice)
    with pytest.raises(errors.SignInFailed):
        await enter(door)


async def test_equal_credentials_that_come_together_are_verified_once(door: Authenticator, alice: str, verified: Counted) -> None:
    actors = await asyncio.gather(*(enter(door) for _ in range(50)))
    assert {actor.user_id for actor in actors} == {alice}
    assert verified.count == 1
    failures = await asyncio.gather(*(enter(door, password="wrong") for _ in range(50)), return_exceptions=True)
    assert all(isinstance(failure, errors.SignInFailed) for failure in failures)
    assert verified.count == 2


async def test_the_first_who_asked_may_go_away(door: Authenticator, alice: str) -> None:
    first = asyncio.create_task(enter(door))
    second = asyncio.create_task(enter(door))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).user_id == alice
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_guesser_is_turned_away_and_the_owner_is_not(door: Authenticator, alice: str, clock: Clock, verified: Counted) -> None:
    await enter(door, address="192.0.2.50")
    for number in range(throttle.PER_ACCOUNT.burst):
        with pytest.raises(errors.SignInFailed):
            await enter(door, password=f"guess{number}", address=f"198.51.100.{number}")
    counted = verified.count
    with pytest.raises(errors.TryLater):
        await enter(door, address="198.51.100.200")
    assert verified.count == counted
    assert (await enter(door, address="192.0.2.50")).user_id == alice
    clock.advance(1 / throttle.PER_ACCOUNT.per_second)
    assert (await enter(door, address="198.51.100.200")).user_id == alice


async def test_a_crowd_of_guesses_at_once_is_not_let_through(door: Authenticator, alice: str, verified: Counted) -> None:
    guesses = [enter(door, password=f"guess{number}", address=f"198.51.100.{number}") for number in range(60)]
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {errors.SignInFailed, errors.TryLater}
    assert verified.count <= throttle.PER_ACCOUNT.burst + passwords.LANES


async def test_who_waits_and_what_is_remembered_is_bounded(door: Authenticator, alice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as crowded:
        crowded.setattr(authenticator, "MAX_WAITING", 0)
        with pytest.raises(errors.TryLater):
            await enter(door)
    monkeypatch.setattr(authenticator, "MAX_REMEMBERED", 2)
    for number in range(4):
        with pytest.raises(errors.SignInFailed):
            await enter(door, f"guess{number}@example.test")
    assert len(door._remembered) == 2
    assert (await enter(door)).user_id == alice


async def test_an_account_of_many_addresses_is_guessed_at_no_more_often(
    store: Store, organization: Organization, door: Authenticator, alice: str
) -> None:
    with store.transaction(organization.number) as tx:
        addresses.add_alias(tx, alice, "ally@example.test")
    for number in range(throttle.PER_ACCOUNT.burst):
        with pytest.raises(errors.SignInFailed):
            await enter(door, ("ally@example.test", "Alice@example.test")[number % 2], f"guess {number}", f"198.51.100.{number}")
    for name in ("ally@example.test", "alice@example.test"):
        with pytest.raises(errors.TryLater):
            await enter(door, name, address="198.51.100.200")


async def test_a_phone_that_repeats_an_old_password_is_one_failure(door: Authenticator, alice: str) -> None:
    for _ in range(3 * throttle.PER_NETWORK.burst):
        with pytest.raises(errors.SignInFailed):
            await enter(door, password="Old-Password-1")
    assert (await enter(door)).user_id == alice


async def test_fifty_users_at_once_come_in_quickly(store: Store, organization: Organization) -> None:
    names = [f"user{number}" for number in range(50)]
    for name in names:
        add_user(store, organization, name)
    door = Authenticator(store)
    begun = time.perf_counter()
    actors = await asyncio.gather(*(enter(door, f"{name}@example.test") for name in names))
    assert len({actor.user_id for actor in actors}) == 50
    assert time.perf_counter() - begun < 10


async def test_what_is_remembered_opens_nothing_that_a_rule_has_closed(
    door: Authenticator, store: Store, organization: Organization, alice: str, verified: Counted
) -> None:
    await enter(door)
    with store.transaction(organization.number) as tx:
        access_rules.put(tx, AccessRule("not-from-there", Effect.DENY, Conditions(ip_ranges=("192.0.2.1/32",))))
    with capture_logs() as logs, pytest.raises(errors.SignInFailed) as refused:
        await enter(door)
    assert refused.value.text == errors.SignInFailed().text
    assert [(entry["event"], entry["reason"], entry["rules"]) for entry in logs] == [("sign_in_failed", "access_rule", ["not-from-there"])]
    await enter(door, address="192.0.2.2")
    with store.transaction(organization.number) as tx:
        access_rules.delete(tx, "not-from-there")
    await enter(door)
    assert verified.count == 1


async def test_the_operator_says_under_which_action_other_protocols_are_decided(
    store: Store, clock: Clock, organization: Organization, alice: str
) -> None:
    with store.transaction(organization.number) as tx:
        access_rules.put(tx, AccessRule("no-ews", Effect.DENY, Conditions(actions=("EWS",))))
    client = Client(Protocol.CARDDAV, "192.0.2.1", secure=True)
    credentials = Credentials("alice@example.test", PASSWORD)
    with pytest.raises(errors.SignInFailed):
        await Authenticator(store, clock).authenticate(credentials, client)
    door = Authenticator(store, clock, Settings(other_protocols=Action.WEBMAIL))
    actor = await door.authenticate(credentials, client)
    assert actor.client.action is Action.WEBMAIL


async def test_who_asks_for_anothers_mailbox_is_counted_and_remembered_as_who_gives_the_password(
    store: Store, organization: Organization, door: Authenticator, alice: str, verified: Counted
) -> None:
    bob = add_user(store, organization, "bob", passwords.hash("Another-One-2"))
    direct = "bob@example.test*alice@example.test"
    await enter(door)
    with pytest.raises(errors.SignInFailed):
        await enter(door, direct)
    with store.transaction(organization.number) as tx:
        permissions.put(tx, bob, alice, {Permission.FULL_ACCESS})
    assert (await enter(door, direct)).home_id == bob
    assert (await enter(door)).home_id == alice
    assert verified.count == 1, "the password is the same, whatever it is to open"
    with store.transaction(organization.number) as tx:
        permissions.delete(tx, bob, alice)
    with pytest.raises(errors.SignInFailed):
        await enter(door, direct)
    asked = itertools.cycle((direct, "nobody@example.test*alice@example.test", "alice@example.test"))
    for number in range(throttle.PER_ACCOUNT.burst):
        with pytest.raises(errors.SignInFailed):
            await enter(door, next(asked), f"guess{number}", address=f"198.51.100.{number}")
    for name in (direct, "alice@example.test"):
        with pytest.raises(errors.TryLater):
            await enter(door, name, "guess", address="203.0.113.1")
    assert (await enter(door, "bob@example.test", "Another-One-2", address="203.0.113.1")).user_id == bob
    for name in (f"{'a' * 400}@example.test*alice@example.test", f"bob@example.test*{'a' * 400}@example.test"):
        with pytest.raises(errors.SignInFailed):
            await enter(door, name, address="203.0.113.2")
