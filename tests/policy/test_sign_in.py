"""Who acts, by which names, and who does not."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from postroom.directory import addresses, groups, registration, users
from postroom.model import errors
from postroom.model.actors import Action, Actor, Client, Credentials, Protocol
from postroom.model.organizations import Organization
from postroom.policy import access_rules, passwords, permissions, sign_in
from postroom.policy.access_rules import AccessRule, Conditions, Effect
from postroom.policy.permissions import Permission
from postroom.policy.sign_in import Denial, Terms
from postroom.storage.engine import REGISTRY, Store, Tx
from postroom.storage.queries import organizations

PASSWORD = "Open-Sesame-1"
HASH = passwords.hash(PASSWORD)
CLIENT = Client(Protocol.IMAP, "192.0.2.1", secure=True)


@pytest.fixture
def tx(store: Store, organization: Organization) -> Iterator[Tx]:
    with store.transaction(organization.number) as opened:
        yield opened


def signed_in(tx: Tx, organization: Organization, credentials: Credentials, client: Client) -> Actor:
    """Do what the authenticator does, without its memory."""
    asked = sign_in.unfold(credentials)
    candidate = sign_in.look_up(tx, organization, asked, client)
    if not passwords.verify(candidate.stored, asked.password) or candidate.actor is None:
        raise errors.SignInFailed()
    return candidate.actor


@pytest.fixture
def alice(tx: Tx) -> str:
    user = users.create(tx, name="alice", display_name="", password_hash=HASH)
    registration.register(tx, user.id, "Alice@example.test")
    addresses.add_alias(tx, user.id, "ally@example.postroom.test")
    return user.id


@pytest.mark.parametrize("name", ["alice@example.test", "ALICE@Example.TEST", "ally@example.postroom.test", " alice@example.test "])
def test_every_full_address_in_any_case_is_a_user_name(tx: Tx, organization: Organization, alice: str, name: str) -> None:
    actor = signed_in(tx, organization, Credentials(name, PASSWORD), CLIENT)
    assert actor == Actor(organization.number, organization.id, alice, "Alice@example.test", CLIENT)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("alice@example.test", "Open-Sesame-2"),
        ("alice@example.test", ""),
        ("alice", PASSWORD),
        ("", PASSWORD),
        ("alice+tag@example.test", PASSWORD),
        ("bob@example.test", PASSWORD),
        ("staff@example.test", PASSWORD),
        ("remote@example.test", PASSWORD),
        ("asleep@example.test", PASSWORD),
        ("nopassword@example.test", PASSWORD),
    ],
)
def test_others_fail_with_one_text(tx: Tx, organization: Organization, alice: str, name: str, password: str) -> None:
    registration.register(tx, groups.create(tx, name="staff").id, "staff@example.test")
    remote = users.create(tx, name="remote", display_name="", password_hash=HASH, role="REMOTE_USER")
    registration.register(tx, remote.id, "remote@example.test")
    users.create(tx, name="asleep", display_name="", password_hash=HASH)
    registration.register(tx, users.create(tx, name="nopassword", display_name="").id, "nopassword@example.test")
    with pytest.raises(errors.SignInFailed) as failed:
        signed_in(tx, organization, Credentials(name, password), CLIENT)
    assert failed.value.text == errors.SignInFailed().text


def test_a_deregistered_user_does_not_sign_in(tx: Tx, organization: Organization, alice: str) -> None:
    registration.deregister(tx, alice)
    with pytest.raises(errors.SignInFailed):
        signed_in(tx, organization, Credentials("alice@example.test", PASSWORD), CLIENT)


def test_access_rules_are_asked(tx: Tx, organization: Organization, alice: str) -> None:
    credentials = Credentials("alice@example.test", PASSWORD)
    access_rules.put(tx, AccessRule("no-imap", Effect.DENY, Conditions(actions=("IMAP",), user_ids=(alice,))))
    with pytest.raises(errors.SignInFailed):
        signed_in(tx, organization, credentials, CLIENT)
    assert signed_in(tx, organization, credentials, replace(CLIENT, protocol=Protocol.SMTP)).user_id == alice
    assert sign_in.look_up(tx, organization, credentials, CLIENT).rules == ("no-imap",)
    access_rules.delete(tx, "default")
    with pytest.raises(errors.SignInFailed):
        signed_in(tx, organization, credentials, replace(CLIENT, protocol=Protocol.SMTP))


def test_an_authorization_identity_is_ones_own(tx: Tx, organization: Organization, alice: str) -> None:
    bob = users.create(tx, name="bob", display_name="", password_hash=HASH)
    registration.register(tx, bob.id, "bob@example.test")

    def as_(authzid: str) -> Actor:
        return signed_in(tx, organization, Credentials("alice@example.test", PASSWORD, authzid), CLIENT)

    assert as_("ALLY@example.postroom.test").user_id == alice
    for other in ("bob@example.test", "nobody@example.test", "alice"):
        with pytest.raises(errors.SignInFailed):
            as_(other)


def test_nobody_is_looked_up_with_a_hash_that_fits_no_password(tx: Tx, organization: Organization, alice: str) -> None:
    """Nor does who has no password answer sooner than others."""
    registration.register(tx, users.create(tx, name="nopassword", display_name="").id, "nopassword@example.test")
    for name in ("bob@example.test", "nopassword@example.test"):
        candidate = sign_in.look_up(tx, organization, Credentials(name, PASSWORD), CLIENT)
        assert (candidate.actor, candidate.stored) == (None, passwords.NOBODYS)


def test_the_domain_finds_the_organization_while_it_is_active(store: Store, organization: Organization) -> None:
    with store.transaction(REGISTRY) as tx:
        assert sign_in.locate(tx, "Alice@EXAMPLE.test") == organizations.find(tx, organization.id)
        for name in ("alice", "alice@elsewhere.test", "@", ""):
            assert sign_in.locate(tx, name) is None
        organizations.set_state(tx, organization.number, "Deleting")
        assert sign_in.locate(tx, "alice@example.test") is None


@pytest.mark.parametrize(("other", "allowed"), [(Action.EWS, True), (Action.WEBMAIL, False)])
def test_a_protocol_without_an_action_is_decided_under_the_one_it_is_given(
    tx: Tx, organization: Organization, alice: str, other: Action, allowed: bool
) -> None:
    access_rules.put(tx, AccessRule("no-webmail", Effect.DENY, Conditions(actions=("WebMail",))))
    client = Client(Protocol.CALDAV, "192.0.2.1", secure=True, other=other)
    candidate = sign_in.look_up(tx, organization, Credentials("alice@example.test", PASSWORD), client)
    assert (candidate.actor is not None) is allowed
    assert candidate.rules == (() if allowed else ("no-webmail",))


def test_a_sign_in_lasts_as_long_as_what_it_rests_on(tx: Tx, organization: Organization, alice: str) -> None:
    actor = signed_in(tx, organization, Credentials("alice@example.test", PASSWORD), CLIENT)
    assert sign_in.reconsider(tx, actor) is None
    rule = AccessRule("from-home", Effect.DENY, Conditions(ip_ranges=("192.0.2.0/24",), actions=("IMAP",)))
    access_rules.put(tx, rule)
    assert sign_in.reconsider(tx, actor) == Denial("access_rule", ("from-home",))
    assert sign_in.reconsider(tx, replace(actor, client=replace(CLIENT, address="198.51.100.1"))) is None
    assert sign_in.reconsider(tx, actor, Terms((AccessRule("others", Effect.ALLOW),), None)) is None
    with pytest.raises(errors.NotPermitted):
        sign_in.require_admitted(tx, actor)
    access_rules.delete(tx, "from-home")
    sign_in.require_admitted(tx, actor)
    users.reset_password(tx, alice, passwords.hash(PASSWORD))
    assert sign_in.reconsider(tx, actor) == Denial("password"), "the same password again, but set anew"
    again = signed_in(tx, organization, Credentials("alice@example.test", PASSWORD), CLIENT)
    assert sign_in.reconsider(tx, again) is None
    registration.deregister(tx, alice)
    assert sign_in.reconsider(tx, again) == Denial("unknown")


DIRECT = "owner@example.test*alice@example.test"


@pytest.fixture
def owner(tx: Tx, alice: str) -> str:
    user = users.create(tx, name="owner", display_name="", password_hash=passwords.hash("Another-One-2"))
    registration.register(tx, user.id, "owner@example.test")
    return user.id


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials("Alice@example.test", PASSWORD, "OWNER@example.test"),
        Credentials(DIRECT, PASSWORD),
        Credentials(f" {DIRECT} ", PASSWORD),
    ],
)
def test_who_may_open_anothers_mailbox_may_sign_in_to_it(
    tx: Tx, organization: Organization, alice: str, owner: str, credentials: Credentials
) -> None:
    def admitted(protocol: Protocol) -> bool:
        try:
            actor = signed_in(tx, organization, credentials, replace(CLIENT, protocol=protocol))
        except errors.SignInFailed:
            return False
        assert (actor.user_id, actor.email, actor.owner_id, actor.home_id) == (alice, "Alice@example.test", owner, owner)
        return True

    opened = []
    for permission in (None, *Permission):
        permissions.put(tx, owner, alice, {permission} if permission else set())
        opened.append((admitted(Protocol.IMAP), admitted(Protocol.SMTP)))
    assert opened == [(False, False), (True, False), (False, True), (False, True)]


def test_the_password_and_the_access_rules_are_those_of_who_signs_in(tx: Tx, organization: Organization, alice: str, owner: str) -> None:
    permissions.put(tx, owner, alice, {Permission.FULL_ACCESS})
    for name, password in ((DIRECT, "Another-One-2"), ("alice@example.test*owner@example.test", "Another-One-2")):
        with pytest.raises(errors.SignInFailed):
            signed_in(tx, organization, Credentials(name, password), CLIENT)
    access_rules.put(tx, AccessRule("not-the-owner", Effect.DENY, Conditions(user_ids=(owner,))))
    assert signed_in(tx, organization, Credentials(DIRECT, PASSWORD), CLIENT).home_id == owner
    access_rules.put(tx, AccessRule("not-alice", Effect.DENY, Conditions(user_ids=(alice,))))
    with pytest.raises(errors.SignInFailed):
        signed_in(tx, organization, Credentials(DIRECT, PASSWORD), CLIENT)


def test_an_authorization_identity_that_is_given_leaves_the_name_as_it_is() -> None:
    given = Credentials(DIRECT, PASSWORD, "third@example.test")
    assert sign_in.unfold(given) == given


@pytest.mark.parametrize("name", ["a*b@example.test", "owner*alice@example.test", "*", "a@b", '"a@b*c"@example.test'])
def test_a_star_alone_asks_for_nobodys_mailbox(name: str) -> None:
    assert sign_in.unfold(Credentials(name, PASSWORD)).username == name


def test_a_star_in_a_local_part_is_a_letter() -> None:
    assert sign_in.unfold(Credentials("o*o@example.test*a*a@example.test", PASSWORD)) == Credentials(
        "a*a@example.test", PASSWORD, "o*o@example.test"
    )
