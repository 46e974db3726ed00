"""Users of an outside directory sign in: asked there, remembered for its outages, slowed down like all others."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from postroom.directory import outside, registration, synchronization
from postroom.directory.synchronization import Limits
from postroom.ldap.directory import PAUSE_SECONDS, Directory
from postroom.ldap.settings import Settings
from postroom.model import errors
from postroom.model.actors import Actor, Client, Credentials, Protocol
from postroom.model.organizations import Organization
from postroom.policy import identity, outside_passwords, sign_in, throttle, tokens
from postroom.policy.authenticator import REFUSED_SECONDS, REMEMBERED_SECONDS, UNANSWERED_SECONDS, Authenticator
from postroom.policy.identity import Configuration, Mode, TokenStatus
from postroom.storage.engine import REGISTRY, Store
from tests.conftest import Clock
from tests.slapd import READER_DN, SECRET, SUFFIX, Slapd, dn_of, person

DIRECTORY = "d-00000000aa"
PASSWORD, NEW = "Alice-Password-1", "Alice-Password-2"
DAY = 86_400.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    slapd = Slapd(tmp_path_factory.mktemp("slapd"))
    try:
        slapd.add(person("alice", PASSWORD), person("bob", PASSWORD))
        yield slapd
    finally:
        slapd.kill()


@pytest.fixture
def slapd(server: Slapd) -> Slapd:
    """It runs, and alice has her first password."""
    if server.process is None:
        server.start()
    set_password(server, PASSWORD)
    return server


def set_password(slapd: Slapd, password: str) -> None:
    slapd.modify(f"dn: {dn_of('alice')}\nchangetype: modify\nreplace: userPassword\nuserPassword: {password}\n")


class Office:
    """An organization with its directory, and doors into it."""

    def __init__(self, store: Store, organization: Organization, slapd: Slapd, clock: Clock) -> None:
        self.store, self.scope, self.slapd, self.clock = store, organization.number, slapd, clock
        with store.transaction(REGISTRY) as tx:
            tx.run(
                "UPDATE organizations SET directory_id = :id, directory_type = 'LDAP' WHERE number = :number",
                id=DIRECTORY,
                number=self.scope,
            )
        with store.transaction(self.scope) as tx:
            outside.attach(tx, DIRECTORY)
        self.sync()
        with store.transaction(self.scope) as tx:
            for name in ("alice", "bob"):
                registration.register(tx, name, f"{name}@example.test")

    def directory(self, **settings: Any) -> Directory:
        given = {"id": DIRECTORY, "urls": (self.slapd.url,), "ca": str(self.slapd.ca), "bind_dn": READER_DN, "bind_password": SECRET}
        return Directory("office", Settings(**(given | {"base": SUFFIX, "page": 20} | settings)), self.clock)

    def sync(self, **settings: Any) -> None:
        synchronization.synchronize(self.store, self.scope, self.directory(**settings), Limits())

    def door(self, **settings: Any) -> Authenticator:
        """Open a door of a program that has just started."""
        return Authenticator(self.store, self.clock, directories={DIRECTORY: self.directory(**settings)})

    def known(self) -> bool:
        with self.store.transaction(self.scope, write=False) as tx:
            (alice,) = tx.all("SELECT id FROM entities WHERE organization = :organization AND name_key = 'alice'")
            return outside.verifier(tx, alice[0], 1000) is not None


@pytest.fixture
def office(store: Store, organization: Organization, slapd: Slapd, clock: Clock) -> Office:
    return Office(store, organization, slapd, clock)


async def enter(door: Authenticator, password: str = PASSWORD, name: str = "alice", address: str = "192.0.2.1") -> Actor:
    return await door.authenticate(Credentials(f"{name}@example.test", password), Client(Protocol.IMAP, address, secure=True))


async def test_the_directory_says_who_comes_in(office: Office) -> None:
    door = office.door()
    actor = await enter(door)
    assert actor.email == "alice@example.test"
    for name, password in (("alice", "wrong"), ("alice", ""), ("nobody", PASSWORD), ("alice", "*")):
        with pytest.raises(errors.SignInFailed):
            await enter(door, password, name)
    with office.store.transaction(office.scope, write=False) as tx:
        assert sign_in.reconsider(tx, actor) is None, "it goes on"


async def test_what_was_right_lately_opens_during_an_outage_and_nothing_else(office: Office) -> None:
    await enter(office.door())
    office.slapd.kill()
    door = office.door()
    assert await enter(door)
    for name, password in (("alice", NEW), ("bob", PASSWORD), ("nobody", PASSWORD)):
        with pytest.raises(errors.TryLater):
            await enter(door, password, name)
    office.clock.advance(8 * DAY)
    with pytest.raises(errors.TryLater):
        await enter(door)


async def test_nothing_is_kept_where_nothing_is_to_be(office: Office) -> None:
    await enter(office.door(offline_days=0.0))
    assert not office.known()
    office.slapd.kill()
    with pytest.raises(errors.TryLater):
        await enter(office.door(offline_days=0.0))


async def test_a_password_that_is_turned_down_is_forgotten_and_a_wrong_guess_forgets_nothing(office: Office) -> None:
    await enter(office.door())
    with pytest.raises(errors.SignInFailed):
        await enter(office.door(), "a guess")
    assert office.known()
    set_password(office.slapd, NEW)
    with pytest.raises(errors.SignInFailed):
        await enter(office.door())
    assert not office.known()
    await enter(office.door(), NEW)
    office.slapd.kill()
    assert await enter(office.door(), NEW)
    with pytest.raises(errors.TryLater):
        await enter(office.door())


async def test_an_answer_is_remembered_for_a_while(office: Office) -> None:
    door = office.door()
    await enter(door)
    with pytest.raises(errors.SignInFailed):
        await enter(door, NEW)
    set_password(office.slapd, NEW)
    assert await enter(door), "for five minutes"
    with pytest.raises(errors.SignInFailed):
        await enter(door, NEW)
    office.clock.advance(REFUSED_SECONDS)
    assert await enter(door, NEW)
    office.clock.advance(REMEMBERED_SECONDS)
    with pytest.raises(errors.SignInFailed):
        await enter(door)


async def test_guessing_during_an_outage_is_slowed_down_but_an_old_phone_is_no_guesser(office: Office) -> None:
    await enter(office.door())
    office.slapd.kill()
    door = office.door()
    for _ in range(3 * throttle.PER_ACCOUNT.burst):
        with pytest.raises(errors.TryLater, match="does not answer"):
            await enter(door, NEW)
    assert await enter(door, address="198.51.100.1")
    for number in range(throttle.PER_ACCOUNT.burst):
        with pytest.raises(errors.TryLater):
            await enter(door, f"guess {number}", address="203.0.113.1")
    with pytest.raises(errors.TryLater, match="Too many"):
        await enter(door, address="203.0.113.1")
    assert await enter(door, address="198.51.100.1"), "from where she has come before"
    assert UNANSWERED_SECONDS > PAUSE_SECONDS


async def test_who_is_disabled_there_has_no_way_in_and_no_way_to_stay(office: Office) -> None:
    actor = await enter(office.door())
    office.sync(attributes={"disabled": "sn"})
    with pytest.raises(errors.SignInFailed):
        await enter(office.door())
    with office.store.transaction(office.scope, write=False) as tx:
        denial = sign_in.reconsider(tx, actor)
        assert denial is not None
        assert denial.reason == "directory_disabled"
        token = sign_in.reconsider(tx, replace(actor, token_id="0" * 32))
        assert token is not None
        assert token.reason == "directory_disabled", "nor by a token"


async def test_a_directory_that_is_not_configured_lets_nobody_in(office: Office) -> None:
    with pytest.raises(errors.TryLater):
        await enter(Authenticator(office.store, office.clock))


class Counting(Directory):
    """A directory that notes what it is asked."""

    def __init__(self, one: Directory) -> None:
        super().__init__(one.name, one.settings)
        self.asked: list[str] = []

    def check(self, dn: str, password: str, user: str = "") -> bool:
        self.asked.append(password)
        return super().check(dn, password, user)


async def test_many_guesses_at_once_do_not_all_reach_the_directory(office: Office) -> None:
    counting = Counting(office.directory())
    door = Authenticator(office.store, office.clock, directories={DIRECTORY: counting})
    guesses = [enter(door, f"guess {number}", address=f"203.0.113.{number}") for number in range(60)]
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert any(isinstance(answer, errors.TryLater) for answer in answers)
    assert len(counting.asked) < throttle.PER_ACCOUNT.burst + outside_passwords.LANES


async def test_tokens_are_never_shown_to_the_directory(office: Office) -> None:
    with office.store.transaction(office.scope) as tx:
        identity.put(tx, Configuration(Mode.IDENTITY_PROVIDER_AND_DIRECTORY, "instance", "application", TokenStatus.ACTIVE, 30))
        _, text = tokens.create(tx, "alice", name="phone")
    counting = Counting(office.directory())
    door = Authenticator(office.store, office.clock, directories={DIRECTORY: counting})
    assert await enter(door, text)
    office.sync(attributes={"disabled": "sn"})
    for name in ("alice", "bob", "nobody"):
        with pytest.raises(errors.SignInFailed):
            await enter(door, text, name)
    assert counting.asked == []


async def test_who_gets_the_name_of_another_there_does_not_get_the_mailbox(office: Office) -> None:
    office.slapd.modify(f"dn: {dn_of('bob')}\nchangetype: modrdn\nnewrdn: uid=robert\ndeleteoldrdn: 1\n")
    office.slapd.add(person("bob", "Another-Password-1"))
    try:
        with pytest.raises(errors.SignInFailed):
            await enter(office.door(), "Another-Password-1", "bob")
        office.sync()
        assert await enter(office.door(), PASSWORD, "bob"), "under the new name in the directory"
    finally:
        office.slapd.delete(dn_of("bob"))
        office.slapd.modify(f"dn: {dn_of('robert')}\nchangetype: modrdn\nnewrdn: uid=bob\ndeleteoldrdn: 1\n")


class Late(Directory):
    """A directory that takes its time to say yes: meanwhile it says elsewhere that the password was changed."""

    def __init__(self, one: Directory, meanwhile: Callable[[], None]) -> None:
        super().__init__(one.name, one.settings)
        self._meanwhile = meanwhile

    def check(self, dn: str, password: str, user: str = "") -> bool:
        right = super().check(dn, password, user)
        self._meanwhile()
        return right


async def test_a_password_that_was_changed_while_it_was_asked_about_is_not_kept(office: Office) -> None:
    late = Late(office.directory(), lambda: office.sync(attributes={"disabled": "sn"}))
    await enter(Authenticator(office.store, office.clock, directories={DIRECTORY: late}))
    assert not office.known()
