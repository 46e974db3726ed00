"""Impersonation roles: whom they may act as, their tokens, and what ends these."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.directory import addresses, registration, users
from postroom.jobs import impersonation as job
from postroom.mailbox import access
from postroom.mailbox.access import Right
from postroom.model import errors
from postroom.model.actors import Actor, Client, Protocol
from postroom.model.organizations import Organization
from postroom.policy import access_rules, bearers, impersonation, impersonation_tokens
from postroom.policy.access_rules import AccessRule, Conditions, Effect
from postroom.policy.impersonation import RoleType, Rule, decide
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import organizations
from tests.conftest import Clock, make_organization
from tests.mailflow.letters import send

CLIENT = Client(Protocol.EWS, "192.0.2.1", secure=True)
ALLOW_ALL = Rule(id="all", effect=Effect.ALLOW)
USERS = ("u1", "u2", "u3")

TARGETS = st.lists(st.sampled_from(USERS), max_size=2).map(tuple)
RULES = st.lists(
    st.builds(
        lambda id, effect, yes, no: Rule(id=id, effect=effect, targets=yes, not_targets=no),
        st.uuids().map(str),
        st.sampled_from(Effect),
        TARGETS,
        TARGETS,
    ),
    max_size=5,
)


def naive(rules: list[Rule], target: str) -> tuple[str, list[str]]:
    reach: dict[str, list[str]] = {"DENY": [], "ALLOW": []}
    for rule in rules:
        whom = set(rule.targets or USERS) - set(rule.not_targets)
        if target in whom:
            reach[rule.effect].append(rule.id)
    winner = "ALLOW" if reach["ALLOW"] and not reach["DENY"] else "DENY"
    return winner, reach[winner]


@settings(max_examples=200)
@given(RULES, st.sampled_from(USERS))
def test_deny_wins_and_nothing_matched_is_denied(rules: list[Rule], target: str) -> None:
    decision = decide(rules, target)
    assert (decision.effect, [rule.id for rule in decision.rules]) == naive(rules, target)
    assert decision.allowed is (decision.effect == "ALLOW")


def test_a_role_without_rules_may_act_as_nobody() -> None:
    assert decide([], "u1") == impersonation.Decision(Effect.DENY, ())
    assert decide([ALLOW_ALL], "u1").allowed


class Role:
    """A role of the example organization whose token is shown."""

    def __init__(self, store: Store, organization: Organization) -> None:
        self.store = store
        self.organization = organization
        with store.transaction(organization.number) as tx:
            self.users = {name: users.create(tx, name=name, display_name="").id for name in ("alice", "bob")}
            for name, id in self.users.items():
                registration.register(tx, id, f"{name}@example.test")
            addresses.add_alias(tx, "alice", "ally@example.test")
            self.id = impersonation.create(tx, name="app", type=RoleType.FULL_ACCESS, rules=[ALLOW_ALL])
            self.token = impersonation_tokens.assume(tx, organization, self.id)

    def change(self, *rules: Rule, type: RoleType = RoleType.FULL_ACCESS) -> None:
        with self.store.transaction(self.organization.number) as tx:
            impersonation.update(tx, self.id, name="app", type=type, rules=rules)

    def admit(self, target: str = "alice@example.test", *, token: str | None = None, client: Client = CLIENT) -> Actor:
        return asyncio.run(bearers.admit(self.store, self.token if token is None else token, target, client))

    def refuses(self, target: str = "alice@example.test", *, token: str | None = None, client: Client = CLIENT) -> type[Exception]:
        with pytest.raises((errors.SignInFailed, errors.NotPermitted)) as refused:
            self.admit(target, token=token, client=client)
        return refused.type


@pytest.fixture
def role(store: Store, organization: Organization) -> Role:
    return Role(store, organization)


def test_the_bearer_acts_as_the_target(role: Role) -> None:
    for address in ("alice@example.test", "ALLY@example.test"):
        actor = role.admit(address)
        assert (actor.scope, actor.organization_id, actor.user_id) == (role.organization.number, role.organization.id, role.users["alice"])
        assert actor.mailbox
        assert (actor.email, actor.client, actor.read_only, actor.impersonation_role_id) == ("alice@example.test", CLIENT, False, role.id)
    with role.store.transaction(role.organization.number) as tx:
        assert access.open_mailbox(tx, actor, actor.user_id, Right.WRITE).right is Right.WRITE


def test_tokens_that_are_worth_nothing(role: Role) -> None:
    other = f"{role.organization.id}.{'A' * 43}"
    for token in ("", "x", role.token[:-1], role.token + "\0", role.token.upper(), f"m-{'0' * 32}.{'A' * 43}", other, "\ud800" * 9):
        assert role.refuses(token=token) is errors.SignInFailed


def test_targets_that_are_none(role: Role) -> None:
    with role.store.transaction(role.organization.number) as tx:
        users.create(tx, name="asleep", display_name="")
    for target in (
        "",
        "alice",
        role.users["alice"],
        "nobody@example.test",
        "asleep@example.test",
        "a\0@example.test",
        f"{'a' * 400}@example.test",
    ):
        assert role.refuses(target) is errors.NotPermitted


def test_a_token_ends_after_fifteen_minutes_and_is_then_forgotten(role: Role, clock: Clock) -> None:
    scope = role.organization.number
    clock.advance(899)
    assert role.admit().user_id == role.users["alice"]
    assert job.purge_tokens(role.store, scope) == 0
    clock.advance(1)
    assert role.refuses() is errors.SignInFailed
    with role.store.transaction(scope) as tx:
        younger = impersonation_tokens.assume(tx, role.organization, role.id)
    assert job.purge_tokens(role.store, scope) == 1
    assert job.purge_tokens(role.store, scope) == 0
    assert role.admit(token=younger).user_id == role.users["alice"]


def test_many_tokens_are_forgotten_page_by_page(role: Role, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impersonation_tokens, "PURGED_AT_ONCE", 2)
    with role.store.transaction(role.organization.number) as tx:
        for _ in range(4):
            impersonation_tokens.assume(tx, role.organization, role.id)
    clock.advance(900)
    assert job.purge_tokens(role.store, role.organization.number) == 5


def test_the_store_keeps_no_token(role: Role) -> None:
    with role.store.transaction(role.organization.number) as tx:
        rows = tx.all("SELECT * FROM impersonation_tokens WHERE organization = :organization")
    assert len(rows) == 1
    assert role.token.rpartition(".")[2] not in repr(rows)
    assert role.token.rpartition(".")[2].encode() not in bytes(rows[0][1])


def test_a_changed_role_binds_a_living_token(role: Role) -> None:
    role.change(ALLOW_ALL, Rule(id="not-alice", effect=Effect.DENY, targets=(role.users["alice"],)))
    assert role.refuses() is errors.NotPermitted
    assert role.admit("bob@example.test").user_id == role.users["bob"]
    role.change()
    assert role.refuses("bob@example.test") is errors.NotPermitted
    role.change(ALLOW_ALL)
    assert role.admit().user_id == role.users["alice"]


def test_a_deleted_role_takes_its_tokens_along(role: Role) -> None:
    with role.store.transaction(role.organization.number) as tx:
        assert impersonation.exists(tx, role.id)
        for _ in range(2):
            impersonation.delete(tx, role.id)
        assert not impersonation.exists(tx, role.id)
        assert tx.all("SELECT role FROM impersonation_tokens WHERE organization = :organization") == []
    assert role.refuses() is errors.SignInFailed


def test_who_leaves_mail_is_no_target_any_more(role: Role) -> None:
    with role.store.transaction(role.organization.number) as tx:
        registration.deregister(tx, "alice")
    assert role.refuses() is errors.NotPermitted


def test_a_read_only_role_reads_and_does_nothing_else(role: Role) -> None:
    role.change(ALLOW_ALL, type=RoleType.READ_ONLY)
    actor = role.admit()
    with role.store.transaction(role.organization.number) as tx:
        assert access.open_mailbox(tx, actor, actor.user_id, Right.READ).right is Right.READ
        with pytest.raises(errors.NotPermitted):
            access.open_mailbox(tx, actor, actor.user_id, Right.WRITE)
    with pytest.raises(errors.NotPermitted):
        send(role.store, actor, "alice@example.test")
    send(role.store, replace(actor, read_only=False), "alice@example.test")


def test_access_rules_about_the_role(role: Role) -> None:
    scope = role.organization.number

    def put(effect: Effect, **conditions: tuple[str, ...]) -> None:
        with role.store.transaction(scope) as tx:
            access_rules.put(tx, AccessRule("x", effect, Conditions(**conditions)))

    put(Effect.DENY, impersonation_role_ids=(role.id,), actions=("EWS",))
    assert role.refuses() is errors.NotPermitted
    with role.store.transaction(scope) as tx:
        another = impersonation.create(tx, name="another", type=RoleType.FULL_ACCESS, rules=[])
    put(Effect.DENY, impersonation_role_ids=(another,))
    assert role.admit().user_id == role.users["alice"]
    put(Effect.DENY, not_ip_ranges=("192.0.2.0/24",))
    assert role.refuses(client=replace(CLIENT, address="198.51.100.1")) is errors.NotPermitted
    assert role.admit().user_id == role.users["alice"]
    with role.store.transaction(scope) as tx:
        access_rules.delete(tx, "default")
    assert role.refuses() is errors.NotPermitted
    put(Effect.ALLOW, impersonation_role_ids=(role.id,))
    assert role.admit().user_id == role.users["alice"]


def test_roles_are_for_ews_alone(role: Role) -> None:
    for protocol in Protocol:
        if protocol is not Protocol.EWS:
            assert role.refuses(client=replace(CLIENT, protocol=protocol)) is errors.NotPermitted


def test_a_token_is_good_in_its_own_organization_only(role: Role) -> None:
    other = make_organization(role.store, number=2, alias="other")
    with role.store.transaction(other.number) as tx:
        registration.register(tx, users.create(tx, name="eve", display_name="").id, "eve@other.test")
        impersonation.create(tx, name="app", type=RoleType.FULL_ACCESS, rules=[ALLOW_ALL])
    assert role.refuses("eve@other.test") is errors.NotPermitted
    forged = f"{other.id}.{role.token.partition('.')[2]}"
    assert role.refuses("eve@other.test", token=forged) is errors.SignInFailed


def test_an_organization_that_is_being_deleted_lets_nobody_in(role: Role) -> None:
    with role.store.transaction(REGISTRY) as tx:
        organizations.set_state(tx, role.organization.number, "Deleting")
    assert role.refuses() is errors.SignInFailed


def test_living_tokens_of_a_role_are_bounded(role: Role, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impersonation_tokens, "MOST_LIVING", 2)
    with role.store.transaction(role.organization.number) as tx:
        impersonation_tokens.assume(tx, role.organization, role.id)
        with pytest.raises(errors.TryLater):
            impersonation_tokens.assume(tx, role.organization, role.id)
    clock.advance(900)
    with role.store.transaction(role.organization.number) as tx:
        assert impersonation_tokens.assume(tx, role.organization, role.id)


def test_what_a_role_may_name(role: Role) -> None:
    """Users are kept by their ids, whichever way they were named, and those who are gone stay named."""
    with role.store.transaction(role.organization.number) as tx:
        id = impersonation.create(
            tx,
            name="b",
            type=RoleType.READ_ONLY,
            rules=[Rule(id="r", effect=Effect.ALLOW, targets=("bob@example.test", "bob"), not_targets=("alice",))],
        )
        assert impersonation.get(tx, id).rules == (
            Rule(id="r", effect=Effect.ALLOW, targets=(role.users["bob"],), not_targets=(role.users["alice"],)),
        )
        registration.deregister(tx, "bob")
        users.delete(tx, "bob")
        assert impersonation.get(tx, id).rules[0].targets == (role.users["bob"],)
        assert not decide(impersonation.get(tx, id).rules, role.users["alice"]).allowed
