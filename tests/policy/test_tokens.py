"""Personal access tokens: how one is made, what one opens and for how long, what of it is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from postroom.directory import registration, users
from postroom.jobs import tokens as jobs
from postroom.model import errors
from postroom.model.actors import Actor, Client, Credentials, Protocol
from postroom.model.organizations import Organization
from postroom.policy import access_rules, identity, passwords, permissions, sign_in, throttle, tokens
from postroom.policy.access_rules import AccessRule, Conditions, Effect
from postroom.policy.authenticator import Authenticator
from postroom.policy.identity import Configuration, Mode, TokenStatus
from postroom.policy.permissions import Permission
from postroom.policy.tokens import Token
from postroom.storage.engine import Store
from tests.conftest import Clock

PASSWORD = "Open-Sesame-1"
HASH = passwords.hash(PASSWORD)
ADDRESS = "192.0.2.1"


@dataclass
class House:
    """An organization with two users, whose passwords and tokens both count, and a door."""

    store: Store
    clock: Clock
    organization: Organization
    door: Authenticator
    alice: str = ""
    bob: str = ""

    def hire(self, name: str, stored: str | None = HASH) -> str:
        with self.store.transaction(self.organization.number) as tx:
            user = users.create(tx, name=name, display_name="", password_hash=stored)
            registration.register(tx, user.id, f"{name}@example.test")
        return user.id

    def put(self, mode: Mode = Mode.IDENTITY_PROVIDER_AND_DIRECTORY, *, active: bool = True, days: int | None = None) -> None:
        status = TokenStatus.ACTIVE if active else TokenStatus.INACTIVE
        self.do(identity.put, Configuration(mode, "instance", "application", status, days))

    def do(self, function: Callable[..., object], *args: object, **kwargs: object) -> object:
        with self.store.transaction(self.organization.number) as tx:
            return function(tx, *args, **kwargs)

    def make(self, user: str = "", *, days: int | None = None, scopes: Sequence[str] = ()) -> tuple[Token, str]:
        with self.store.transaction(self.organization.number) as tx:
            return tokens.create(tx, user or self.alice, name="phone", days=days, scopes=scopes)

    def token(self, id: str) -> Token:
        with self.store.transaction(self.organization.number, write=False) as tx:
            return tokens.get(tx, id)

    async def enter(
        self, password: str, name: str = "alice@example.test", protocol: Protocol = Protocol.IMAP, address: str = ADDRESS, authzid: str = ""
    ) -> Actor:
        return await self.door.authenticate(Credentials(name, password, authzid), Client(protocol, address, secure=True))

    async def refusal(self, *args: str, **kwargs: object) -> dict[str, object]:
        """Try in vain; give what the log says of it."""
        with capture_logs() as logs, pytest.raises(errors.SignInFailed) as failed:
            await self.enter(*args, **kwargs)  # type: ignore[arg-type]
        assert failed.value.text == errors.SignInFailed().text
        return next(dict(entry) for entry in logs if entry["event"] == "sign_in_failed")

    def doubt(self, actor: Actor) -> str:
        """Say why somebody who has signed in may not go on."""
        with self.store.transaction(self.organization.number, write=False) as tx:
            denial = sign_in.reconsider(tx, actor)
        return denial.reason if denial else ""


@pytest.fixture
def house(store: Store, clock: Clock, organization: Organization) -> House:
    made = House(store, clock, organization, Authenticator(store, clock))
    made.alice, made.bob = made.hire("alice"), made.hire("bob")
    made.put()
    return made


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes that passwords have been checked against."""
    checked: list[str] = []
    verify = passwords.verify
    monkeypatch.setattr(passwords, "verify", lambda stored, password: checked.append(stored) or verify(stored, password))
    return checked


# Making


def test_a_token_is_long_its_own_and_kept_nowhere(house: House) -> None:
    (one, text), (other, second) = house.make(), house.make()
    assert text != second
    assert one.id != other.id
    assert len(text.removeprefix("pat-")) * 5 >= 160
    with house.store.transaction(house.organization.number, write=False) as tx:
        rows = tx.all("SELECT * FROM access_tokens")
    assert len(rows) == 2
    assert text not in repr(rows)
    assert (one.scopes, one.expires_at, one.used_at) == (("All",), None, None)


def test_days_are_those_asked_for_within_those_allowed(house: House) -> None:
    assert house.make(days=7)[0].expires_at == house.clock.now + 7 * 86_400
    house.put(days=30)
    assert house.make()[0].expires_at == house.clock.now + 30 * 86_400
    assert house.make(days=30)[0].expires_at == house.clock.now + 30 * 86_400
    for days in (0, 31):
        with pytest.raises(errors.InvalidParameter):
            house.make(days=days)
    house.put()
    with pytest.raises(errors.InvalidParameter):
        house.make(days=3654)


def test_scopes_are_named_in_any_case_and_each_once(house: House) -> None:
    assert house.make(scopes=["imap", "SMTP", "IMAP"])[0].scopes == ("IMAP", "SMTP")
    assert house.make(scopes=["IMAP", "all"])[0].scopes == ("All",)
    with pytest.raises(errors.InvalidParameter, match="CalDAV"):
        house.make(scopes=["POP3"])


def test_what_no_token_is_made_for(house: House) -> None:
    asleep = house.do(users.create, name="asleep", display_name="")
    for user, error in ((asleep.id, errors.EntityState), ("nobody", errors.EntityNotFound)):  # type: ignore[attr-defined]
        with pytest.raises(error):
            house.make(user)
    for name in ("", "x" * 65, "a<b", "a\\b", "a\x7fb"):
        with pytest.raises(errors.InvalidParameter):
            house.do(tokens.create, house.alice, name=name)
    house.put(active=False)
    with pytest.raises(errors.Unsupported):
        house.make()
    house.do(identity.delete)
    with pytest.raises(errors.Unsupported):
        house.make()


def test_a_user_has_so_many_and_those_that_have_expired_do_not_count(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_PER_USER", 2)
    house.make(days=1)
    house.make()
    with pytest.raises(errors.LimitExceeded):
        house.make()
    house.make(house.bob)
    house.clock.advance(86_400)
    house.make()


# What one opens


async def test_a_token_opens_in_place_of_the_password_by_every_protocol(house: House, verified: list[str]) -> None:
    token, text = house.make()
    for protocol in Protocol:
        actor = await house.enter(text, protocol=protocol)
        assert (actor.user_id, actor.token_id, actor.proof, actor.until) == (house.alice, token.id, "", float("inf"))
    assert verified == []
    assert (await house.enter(PASSWORD)).token_id == ""


async def test_a_token_is_bound_to_its_scopes(house: House) -> None:
    token, text = house.make(scopes=["SMTP", "CalDAV"])
    for protocol in Protocol:
        if protocol in ("SMTP", "CalDAV"):
            assert (await house.enter(text, protocol=protocol)).user_id == house.alice
        else:
            entry = await house.refusal(text, protocol=protocol, address=f"192.0.2.{len(protocol)}")
            assert (entry["reason"], entry["token"]) == ("token_scope", token.id)


async def test_a_token_is_its_owners_alone(house: House) -> None:
    token, text = house.make()
    entry = await house.refusal(text, "bob@example.test")
    assert (entry["reason"], entry["token"]) == ("token_of_another", token.id)
    assert (await house.refusal(text, "nobody@example.test"))["reason"] == "unknown"
    assert (await house.enter(text)).user_id == house.alice


async def test_who_has_no_password_gets_in_with_a_token(house: House) -> None:
    carol = house.hire("carol", stored=None)
    _, text = house.make(carol)
    assert (await house.enter(text, "carol@example.test")).user_id == carol
    assert (await house.refusal(PASSWORD, "carol@example.test"))["reason"] == "no_password"


async def test_a_token_opens_the_mailbox_of_another_as_the_password_does(house: House) -> None:
    _, text = house.make()
    both = "bob@example.test*alice@example.test"
    assert (await house.refusal(text, both))["reason"] == "authzid"
    house.do(permissions.put, house.bob, house.alice, {Permission.FULL_ACCESS})
    for name, authzid in ((both, ""), ("alice@example.test", "bob@example.test")):
        actor = await house.enter(text, name, authzid=authzid)
        assert (actor.user_id, actor.home_id) == (house.alice, house.bob)


async def test_access_rules_bind_tokens(house: House) -> None:
    _, text = house.make()
    actor = await house.enter(text)
    house.do(access_rules.put, AccessRule("no", Effect.DENY, Conditions(actions=("IMAP",))))
    assert (await house.refusal(text))["reason"] == "access_rule"
    assert house.doubt(actor) == "access_rule"


# While it counts


@pytest.mark.parametrize("how", ["deleted", "expired", "inactive", "unconfigured", "deregistered"])
async def test_nothing_of_a_token_is_remembered_and_its_sessions_are_doubted(house: House, how: str) -> None:
    token, text = house.make(days=7)
    actor = await house.enter(text)
    assert actor.until == house.clock.now + 7 * 86_400
    assert house.doubt(actor) == ""
    ends: dict[str, Callable[[], object]] = {
        "deleted": lambda: house.do(tokens.delete, token.id),
        "expired": lambda: house.clock.advance(7 * 86_400),
        "inactive": lambda: house.put(active=False),
        "unconfigured": lambda: house.do(identity.delete),
        "deregistered": lambda: house.do(registration.deregister, house.alice),
    }
    ends[how]()
    reasons = {"deleted": ("password", "token_deleted"), "deregistered": ("unknown", "unknown")}
    refused, doubted = reasons.get(how, ("token_expired" if how == "expired" else "token_inactive",) * 2)
    assert (await house.refusal(text))["reason"] == refused
    assert house.doubt(actor) == doubted


async def test_a_token_counts_again_when_tokens_do(house: House) -> None:
    _, text = house.make()
    house.put(active=False)
    await house.refusal(text)
    house.put(days=1)
    assert (await house.enter(text)).user_id == house.alice
    house.clock.advance(2 * 86_400)
    assert (await house.enter(text)).until == float("inf"), "the days are those of tokens made from now on"


@pytest.mark.parametrize("protocol", [Protocol.IMAP, Protocol.SMTP, Protocol.CALDAV])
async def test_with_an_identity_provider_only_passwords_open_nothing(house: House, verified: list[str], protocol: Protocol) -> None:
    _, text = house.make()
    actor = await house.enter(PASSWORD, protocol=protocol)
    house.put(Mode.IDENTITY_PROVIDER_ONLY)
    assert house.doubt(actor) == "identity_provider"
    assert (await house.refusal(PASSWORD, protocol=protocol))["reason"] == "identity_provider"
    verified.clear()
    assert (await house.refusal("Wrong-Horse-1", protocol=protocol))["reason"] == "identity_provider"
    assert verified == [HASH], "that takes as long as before"
    assert (await house.enter(text, protocol=protocol)).user_id == house.alice
    house.do(identity.delete)
    assert (await house.enter(PASSWORD, protocol=protocol)).user_id == house.alice
    assert house.doubt(actor) == ""


# Guessing


async def test_a_wrong_token_takes_as_long_as_a_wrong_password_whoever_is_asked_for(house: House, verified: list[str]) -> None:
    _, text = house.make(house.bob, scopes=["SMTP"])
    _, expired = house.make(days=1)
    house.clock.advance(86_400)
    cases = [
        ("alice@example.test", "pat-" + "a" * 32),
        ("nobody@example.test", "pat-" + "a" * 32),
        ("alice@elsewhere.test", text),
        ("alice@example.test", text),
        ("bob@example.test", text),
        ("alice@example.test", expired),
        ("alice@example.test", "pat-short"),
    ]
    for count, (name, password) in enumerate(cases, 1):
        await house.refusal(password, name)
        assert len(verified) == count


async def test_wrong_tokens_fill_the_buckets(house: House) -> None:
    _, text = house.make()
    for number in range(throttle.PER_ACCOUNT.burst):
        await house.refusal("pat-" + "abcdefghij"[number] * 32, address=f"198.51.100.{number}")
    with pytest.raises(errors.TryLater):
        await house.enter(text)


async def test_to_try_ones_own_tokens_at_the_door_of_another_is_to_guess(house: House) -> None:
    for number in range(throttle.PER_ACCOUNT.burst):
        refused = await house.refusal(house.make(house.bob)[1], address=f"198.51.100.{number}")
        assert refused["reason"] == "token_of_another"
    with pytest.raises(errors.TryLater):
        await house.enter(PASSWORD)


async def test_an_office_that_goes_on_with_what_was_right_is_not_taken_for_a_guesser(
    house: House, monkeypatch: pytest.MonkeyPatch, verified: list[str]
) -> None:
    monkeypatch.setattr(throttle, "PER_NETWORK", throttle.Rate(burst=1, per_second=0.0))
    house.door = Authenticator(house.store, house.clock)
    _, good = house.make()
    _, expired = house.make(days=1)
    _, unscoped = house.make(scopes=["SMTP"])
    house.clock.advance(86_400)
    house.put(Mode.IDENTITY_PROVIDER_ONLY)
    for password in (PASSWORD, expired, unscoped):
        await house.refusal(password)
    assert verified == [HASH, passwords.NOBODYS, passwords.NOBODYS], "no token is held against what is kept of a password"
    house.put(active=False)
    await house.refusal(good)
    house.put()
    assert (await house.enter(good)).user_id == house.alice
    await house.refusal("Wrong-Horse-1")
    with pytest.raises(errors.TryLater):
        await house.enter(good)


# What is kept of its use


async def test_the_last_use_is_noted_now_and_then_and_the_log_knows_the_id(house: House) -> None:
    token, text = house.make()
    with capture_logs() as logs:
        await house.enter(text)
        await asyncio.gather(*(house.enter(text) for _ in range(5)))
    await house.door.close()
    first = house.clock.now
    assert house.token(token.id).used_at == first
    entries = [(entry["event"], entry["token"], entry["user"], entry["protocol"]) for entry in logs]
    assert entries == [("signed_in_by_token", token.id, "alice@example.test", "IMAP")] * 6
    assert text not in repr(logs)
    house.clock.advance(tokens.NOTED_SECONDS - 1)
    await house.enter(text)
    await house.door.close()
    assert house.token(token.id).used_at == first
    house.clock.advance(1)
    await house.enter(text)
    await house.door.close()
    assert house.token(token.id).used_at == first + tokens.NOTED_SECONDS


async def test_who_is_refused_has_not_used_it(house: House) -> None:
    token, text = house.make(scopes=["SMTP"])
    await house.refusal(text)
    await house.door.close()
    assert house.token(token.id).used_at is None


# The end


def test_what_has_expired_is_purged_and_nothing_else(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "PURGED_AT_ONCE", 2)
    gone = [house.make(days=1)[0].id for _ in range(5)]
    kept = [house.make(days=2)[0].id, house.make()[0].id]
    assert jobs.purge(house.store, house.organization.number) == 0
    house.clock.advance(86_400)
    with capture_logs() as logs:
        assert jobs.purge(house.store, house.organization.number) == 5
    assert sorted(entry["token"] for entry in logs) == sorted(gone)
    assert {token.id for token in house.do(tokens.page, user=None, after="", limit=9)} == set(kept)  # type: ignore[attr-defined]


def test_tokens_go_with_their_user(house: House) -> None:
    token, other = house.make()[0], house.make(house.bob)[0]
    house.do(registration.deregister, house.alice)
    house.do(users.delete, house.alice)
    with pytest.raises(errors.ResourceNotFound):
        house.token(token.id)
    assert house.token(other.id) == other
