"""Access control rules: deny wins, nothing matched is denied."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.directory import groups, users
from postroom.model import errors
from postroom.model.actors import Action, Protocol, action_of
from postroom.model.organizations import Organization
from postroom.policy import access_rules
from postroom.policy.access_rules import AccessRule, Conditions, Effect, Situation, decide
from postroom.storage.engine import Store
from tests.conftest import Clock

ALLOW_ALL = AccessRule("default", Effect.ALLOW)
SITUATION = Situation(Action.IMAP, "192.0.2.7", user_id="u1")


def rule(name: str, effect: Effect, **conditions: tuple[str, ...]) -> AccessRule:
    return AccessRule(name, effect, Conditions(**conditions))


def test_no_rule_denies_and_names_none() -> None:
    decision = decide([], SITUATION)
    assert (decision.effect, decision.rules, decision.allowed) == (Effect.DENY, (), False)


def test_a_rule_without_conditions_matches_everything() -> None:
    decision = decide([ALLOW_ALL], SITUATION)
    assert (decision.effect, decision.rules, decision.allowed) == (Effect.ALLOW, ("default",), True)


def test_deny_wins_and_only_the_winners_are_named() -> None:
    rules = [ALLOW_ALL, rule("no-imap", Effect.DENY, actions=("IMAP",)), rule("no-u1", Effect.DENY, user_ids=("u1",))]
    assert decide(rules, SITUATION) == access_rules.Decision(Effect.DENY, ("no-imap", "no-u1"))


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ({"actions": ("IMAP", "SMTP")}, True),
        ({"actions": ("SMTP",)}, False),
        ({"not_actions": ("SMTP",)}, True),
        ({"not_actions": ("IMAP",)}, False),
        ({"user_ids": ("u1",)}, True),
        ({"user_ids": ("u2",)}, False),
        ({"not_user_ids": ("u2",)}, True),
        ({"not_user_ids": ("u1",)}, False),
        ({"ip_ranges": ("192.0.2.0/24",)}, True),
        ({"ip_ranges": ("10.0.0.0/8", "192.0.2.7/32")}, True),
        ({"ip_ranges": ("10.0.0.0/8",)}, False),
        ({"not_ip_ranges": ("10.0.0.0/8",)}, True),
        ({"not_ip_ranges": ("192.0.2.7/31",)}, False),
        ({"ip_ranges": ("192.0.2.0/24",), "not_ip_ranges": ("192.0.2.7/32",)}, False),
        ({"actions": ("IMAP",), "user_ids": ("u2",)}, False),
        ({"impersonation_role_ids": ("r1",)}, False),
        ({"not_impersonation_role_ids": ("r1",)}, True),
    ],
)
def test_every_condition_must_hold(conditions: dict[str, tuple[str, ...]], matches: bool) -> None:
    assert rule("r", Effect.ALLOW, **conditions).matches(SITUATION) is matches


@pytest.mark.parametrize(("address", "inside"), [("::ffff:192.0.2.9", True), ("2001:db8::1", False), ("not an address", False)])
def test_addresses_of_version_6_and_none_at_all(address: str, inside: bool) -> None:
    situation = Situation(Action.IMAP, address, user_id="u1")
    assert rule("r", Effect.ALLOW, ip_ranges=("192.0.2.0/24",)).matches(situation) is inside
    assert rule("r", Effect.ALLOW, not_ip_ranges=("192.0.2.0/24",)).matches(situation) is not inside


RANGES = st.builds("{}.0.{}.{}/{}".format, st.integers(0, 2), st.integers(0, 255), st.integers(0, 255), st.integers(0, 32))


@given(ranges=st.lists(RANGES, min_size=1, max_size=8).map(tuple), address=RANGES.map(lambda text: text.partition("/")[0]))
def test_an_address_is_in_a_range_or_is_not(ranges: tuple[str, ...], address: str) -> None:
    inside = any(ipaddress.ip_address(address) in ipaddress.ip_network(text, strict=False) for text in ranges)
    assert rule("r", Effect.ALLOW, ip_ranges=ranges).matches(Situation(Action.IMAP, address)) is inside


def test_thousands_of_ranges_are_read_once_not_at_every_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rules and ranges as the API takes; whoever knows a user name makes the server ask them."""
    spans, read = access_rules._span, []

    def span(text: str) -> tuple[int, int]:
        read.append(text)
        return spans(text)

    rules = [rule(f"{a}", Effect.DENY, ip_ranges=tuple(f"10.{a}.{b % 256}.{b // 256}/32" for b in range(1024))) for a in range(10)]
    monkeypatch.setattr(access_rules, "_span", span)
    for last in range(5):
        assert not decide(rules, Situation(Action.IMAP, f"192.0.2.{last}")).rules
    assert len(read) == len(set(read)) == 10 * 1024


def test_an_organization_starts_with_the_rule_that_allows_all(store: Store, organization: Organization) -> None:
    with store.transaction(organization.number) as tx:
        assert access_rules.load(tx) == [AccessRule("default", Effect.ALLOW, description="Default WorkMail Rule")]


def test_rules_are_kept_replaced_and_removed(store: Store, organization: Organization, clock: Clock) -> None:
    with store.transaction(organization.number) as tx:
        people = tuple(users.create(tx, name=name, display_name="").id for name in ("somebody-named-so", "another"))
        kept = rule("b", Effect.DENY, ip_ranges=("10.0.0.0/8",), not_user_ids=people)
        named = ("somebody-named-so", people[0], people[1])
        access_rules.put(tx, rule("b", Effect.DENY, ip_ranges=("10.0.0.0/8",), not_user_ids=named))
        made = tx.now
    clock.advance(60)
    with store.transaction(organization.number) as tx:
        access_rules.put(tx, AccessRule("b", Effect.ALLOW, kept.conditions, "second"))
        assert access_rules.load(tx)[0] == AccessRule("b", Effect.ALLOW, kept.conditions, "second", made, made + 60)
        access_rules.delete(tx, "default")
        access_rules.delete(tx, "default")
        assert [one.name for one in access_rules.load(tx)] == ["b"]


def test_a_rule_names_actions_and_users_that_there_are(store: Store, organization: Organization) -> None:
    with store.transaction(organization.number) as tx:
        for action in ("imap", "CalDAV", "POP"):
            with pytest.raises(errors.InvalidParameter):
                access_rules.put(tx, rule("r", Effect.DENY, actions=("IMAP", action)))
            with pytest.raises(errors.InvalidParameter):
                access_rules.put(tx, rule("r", Effect.DENY, not_actions=(action,)))
        group = groups.create(tx, name="a-group-of-people").id
        for stranger in ("nobody-at-all", group):
            with pytest.raises(errors.EntityNotFound):
                access_rules.put(tx, rule("r", Effect.DENY, user_ids=(stranger,)))
            with pytest.raises(errors.EntityNotFound):
                access_rules.put(tx, rule("r", Effect.DENY, not_user_ids=(stranger,)))
        assert [one.name for one in access_rules.load(tx)] == ["default"]


def test_there_are_ten_rules_and_those_can_be_replaced(store: Store, organization: Organization) -> None:
    with store.transaction(organization.number) as tx:
        for number in range(access_rules.MAXIMUM - 1):
            access_rules.put(tx, rule(f"r{number}", Effect.ALLOW))
        with pytest.raises(errors.LimitExceeded):
            access_rules.put(tx, rule("more", Effect.ALLOW))
        access_rules.put(tx, rule("r0", Effect.DENY))
        access_rules.delete(tx, "default")
        access_rules.put(tx, rule("more", Effect.ALLOW))
        assert len(access_rules.load(tx)) == access_rules.MAXIMUM


def test_every_protocol_is_decided_under_an_action() -> None:
    own = {protocol: action_of(protocol, Action.WEBMAIL) for protocol in Protocol}
    assert {action.value for action in Action} == {protocol.value for protocol, action in own.items() if protocol.value == action.value}
    others = {protocol for protocol, action in own.items() if protocol.value != action.value}
    assert others == {Protocol.CALDAV, Protocol.CARDDAV, Protocol.JMAP}
    assert {own[protocol] for protocol in others} == {Action.WEBMAIL}
