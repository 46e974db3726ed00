"""Which flow rule decides, what a pattern may be, and how many there may be."""

from dataclasses import replace

import pytest

from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.policy import flow_rules
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.storage.engine import Store


def rule(name: str, action: Action, *senders: str, to: tuple[str, ...] = ("*",), way: Way = Way.INBOUND) -> Rule:
    return Rule(way, name, action, senders or ("*",), to)


def decided(rules: list[Rule], sender: str = "bob@mail.far.test", recipient: str = "alice@example.test") -> str | None:
    found = flow_rules.decide(rules, flow_rules.key(sender), flow_rules.key(recipient))
    return found.name if found else None


LADDER = [
    rule("all", Action.DROP),
    rule("under", Action.DROP, "*.test"),
    rule("closer", Action.DROP, "*.far.test"),
    rule("self", Action.DROP, "*.mail.far.test"),
    rule("domain", Action.DROP, "mail.far.test"),
    rule("address", Action.NEVER_JUNK, "bob@mail.far.test"),
]


@pytest.mark.parametrize("length", range(1, len(LADDER) + 1))
def test_the_closest_sender_decides_however_strict_the_others_are(length: int) -> None:
    assert decided(LADDER[:length]) == decided(LADDER[:length][::-1]) == LADDER[length - 1].name


@pytest.mark.parametrize(
    ("pattern", "sender", "matches"),
    [
        ("far.test", "a@far.test", True),
        ("far.test", "a@FAR.test", True),
        ("far.test", "a@x.far.test", False),
        ("far.test", "a@nofar.test", False),
        ("*.far.test", "a@far.test", True),
        ("*.far.test", "a@b.c.far.test", True),
        ("*.far.test", "a@nofar.test", False),
        ("a@far.test", "A+tag@far.test", True),
        ("a@far.test", "b@far.test", False),
        ("bücher.test", "a@xn--bcher-kva.test", True),
        ("*", "", True),
        ("far.test", "no address", False),
        ("*.far.test", "far.test", False),
    ],
)
def test_what_a_pattern_matches(pattern: str, sender: str, matches: bool) -> None:
    assert (decided([rule("it", Action.DROP, flow_rules.pattern(pattern))], sender) == "it") is matches


def test_sender_first_then_destination() -> None:
    by_sender = rule("sender", Action.DEFAULT, "far.test")
    by_both = rule("both", Action.DEFAULT, "far.test", to=("alice@example.test",))
    by_destination = rule("destination", Action.DROP, "*", to=("alice@example.test",))
    assert decided([by_sender, by_destination], "a@far.test") == "sender"
    assert decided([by_sender, by_destination, by_both], "a@far.test") == "both"
    assert decided([by_sender, by_both], "a@far.test", "bob@example.test") == "sender"


def test_among_equals_the_strictest_then_the_first_by_name() -> None:
    actions = list(Action)
    for place, strict in enumerate(actions):
        rules = [rule(other.value, other, "far.test") for other in actions[place:]]
        assert decided(rules, "a@far.test") == decided(rules[::-1], "a@far.test") == strict.value
    assert decided([rule("a", Action.DROP), rule("b", Action.DROP)]) == "a"


@pytest.mark.parametrize("text", ["", "a+b@far.test", "*far.test", "*.", "a@*.test", "a b", "*@far.test", "@far.test", "x" * 300, "fa\0r"])
def test_what_is_no_pattern(store: Store, organization: Organization, text: str) -> None:
    if text == "*@far.test":  # an asterisk is a letter like any other in the local part of an address
        assert flow_rules.pattern(text) == text
        return
    with store.transaction(1) as tx, pytest.raises(errors.InvalidParameter):
        flow_rules.put(tx, rule("it", Action.DROP, text))


def test_kept_replaced_and_removed_each_way_by_itself(store: Store, organization: Organization) -> None:
    with store.transaction(1) as tx:
        flow_rules.put(tx, rule("it", Action.DROP, "FAR.test", "far.test"))
        flow_rules.put(tx, rule("it", Action.BOUNCE, way=Way.OUTBOUND))
        assert flow_rules.get(tx, Way.INBOUND, "it") == rule("it", Action.DROP, "far.test")
        flow_rules.put(tx, rule("it", Action.JUNK))
        assert flow_rules.page(tx, Way.INBOUND) == [rule("it", Action.JUNK)]
        flow_rules.delete(tx, Way.INBOUND, "it")
        with pytest.raises(errors.ResourceNotFound):
            flow_rules.delete(tx, Way.INBOUND, "it")
        assert [one.name for one in flow_rules.page(tx, Way.OUTBOUND)] == ["it"]


def test_what_is_no_rule(store: Store, organization: Organization) -> None:
    wrong = [
        rule("it", Action.JUNK, way=Way.OUTBOUND),
        rule("", Action.DROP),
        rule("x" * 65, Action.DROP),
        rule("a\nb", Action.DROP),
        Rule(Way.INBOUND, "it", Action.BOUNCE, message="two\r\nlines"),
        Rule(Way.INBOUND, "it", Action.BOUNCE, message="Grüße"),
        Rule(Way.INBOUND, "it", Action.BOUNCE, senders=()),
    ]
    with store.transaction(1) as tx:
        for one in wrong:
            with pytest.raises(errors.InvalidParameter):
                flow_rules.put(tx, one)


def test_how_many_patterns_there_may_be(store: Store, organization: Organization) -> None:
    names = tuple(f"d{number}.test" for number in range(250))
    with store.transaction(1) as tx:
        with pytest.raises(errors.LimitExceeded):
            flow_rules.put(tx, rule("big", Action.DROP, *names))
        for number in range(4):
            flow_rules.put(tx, rule(f"r{number}", Action.DROP, *names[:249]))
        flow_rules.put(tx, rule("r0", Action.DROP, *names[:249]))
        with pytest.raises(errors.LimitExceeded):
            flow_rules.put(tx, rule("more", Action.DROP, way=Way.OUTBOUND))


ARN = "arn:aws:lambda:eu-west-1:123456789012:function:scan:live"
HOOK = Rule(Way.INBOUND, "scan", Action.LAMBDA, target="scan", waits=True, minutes=30, fallback=Action.JUNK)
GATEWAY = Rule(Way.OUTBOUND, "edge", Action.GATEWAY, destinations=("far.test",), target="edge")


def test_hooks_and_gateways_are_kept_as_they_were_said(store: Store, organization: Organization) -> None:
    function = replace(HOOK, way=Way.OUTBOUND, target=ARN, waits=False, minutes=0, fallback=Action.DEFAULT, destinations=("far.test",))
    with store.transaction(1) as tx:
        for one in (HOOK, function, GATEWAY):
            flow_rules.put(tx, one)
        assert flow_rules.page(tx, Way.INBOUND) == [HOOK]
        assert flow_rules.page(tx, Way.OUTBOUND) == [GATEWAY, function]


@pytest.mark.parametrize(
    "wrong",
    [
        replace(HOOK, target=""),
        replace(HOOK, target="no hook"),
        replace(HOOK, target="arn:aws:s3:::bucket"),
        replace(HOOK, minutes=241),
        replace(HOOK, minutes=-1),
        replace(HOOK, waits=False),
        replace(HOOK, waits=False, minutes=0, fallback=Action.LAMBDA),
        replace(HOOK, destinations=("far.test",)),
        replace(HOOK, fallback=Action.GATEWAY),
        replace(HOOK, way=Way.OUTBOUND),
        replace(HOOK, action=Action.DROP),
        replace(GATEWAY, way=Way.INBOUND),
        replace(GATEWAY, target=ARN),
        replace(GATEWAY, action=Action.DEFAULT),
    ],
)
def test_what_no_hook_and_no_gateway_can_be(wrong: Rule) -> None:
    with pytest.raises(errors.InvalidParameter):
        flow_rules.checked(wrong)


def test_rules_of_the_configuration_stand_before_others_and_are_changed_there_alone(store: Store, organization: Organization) -> None:
    written, other = rule("written", Action.DROP, "far.test"), rule("a", Action.DROP, "far.test")
    with store.transaction(1) as tx:
        flow_rules.put(tx, rule("written", Action.JUNK))
        flow_rules.put(tx, other)
        assert flow_rules.configure(tx, [written, HOOK])
        assert not flow_rules.configure(tx, [written, HOOK])
        found = flow_rules.page(tx, Way.INBOUND)
        assert [(one.name, one.action, one.configured) for one in found] == [
            ("scan", Action.LAMBDA, True),
            ("written", Action.DROP, True),
            ("a", Action.DROP, False),
        ]
        assert decided(found) is not None
        assert decided(found, "x@far.test") == "written"
        with pytest.raises(errors.InvalidParameter, match="configuration"):
            flow_rules.put(tx, rule("written", Action.JUNK))
        with pytest.raises(errors.InvalidParameter, match="configuration"):
            flow_rules.delete(tx, Way.INBOUND, "scan")
        flow_rules.delete(tx, Way.INBOUND, "a")
        assert flow_rules.configure(tx, [])
        assert flow_rules.page(tx, Way.INBOUND) == []
