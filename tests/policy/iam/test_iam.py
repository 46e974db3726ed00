"""IAM policy documents: what they allow, what they deny, which are refused."""

from __future__ import annotations

import fnmatch
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.model import errors
from postroom.policy import iam
from postroom.policy.iam.wildcards import Wildcard, expression

ARN = "arn:aws:workmail:us-east-1:123456789012:organization/m-0123"
ALLOW = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> iam.Policy:
    return iam.parse(json.dumps({"Version": version, "Statement": list(statements)}))


def allowed(compiled: iam.Policy, action: str = "workmail:CreateUser", resource: str = ARN, **context: tuple[str, ...]) -> bool:
    return iam.decide(compiled, action, resource, {name.replace("__", ":").lower(): value for name, value in context.items()}).allowed


def condition(operator: str, key: str, *values: Any) -> iam.Policy:
    return policy(ALLOW | {"Condition": {operator: {key: list(values)}}})


class TestDecision:
    def test_nothing_is_allowed_by_default(self) -> None:
        decision = iam.decide(policy(ALLOW | {"Action": "workmail:List*"}), "workmail:CreateUser", ARN, {})
        assert decision == iam.DENIED

    def test_deny_wins(self) -> None:
        compiled = policy(ALLOW, ALLOW | {"Effect": "Deny", "Action": "workmail:Delete*"})
        assert allowed(compiled)
        assert iam.decide(compiled, "workmail:DeleteUser", ARN, {}) == iam.DENIED_EXPLICITLY

    @pytest.mark.parametrize(
        ("pattern", "action", "matches"),
        [
            ("workmail:CreateUser", "workmail:CreateUser", True),
            ("WORKMAIL:createuser", "workmail:CreateUser", True),
            ("workmail:Create?ser", "workmail:CreateUser", True),
            ("workmail:*User", "workmail:CreateUser", True),
            ("workmail:*User", "workmail:ListUsers", False),
            ("work*:Create*", "workmail:CreateUser", True),
            ("ses:*", "workmail:CreateUser", False),
            ("workmail:Create", "workmail:CreateUser", False),
        ],
    )
    def test_actions(self, pattern: str, action: str, matches: bool) -> None:
        assert allowed(policy(ALLOW | {"Action": pattern}), action) is matches
        negated = {"Effect": "Allow", "NotAction": [pattern], "Resource": "*"}
        assert allowed(policy(negated), action) is not matches

    @pytest.mark.parametrize(
        ("pattern", "matches"),
        [
            (ARN, True),
            ("arn:aws:workmail:*:*:organization/*", True),
            ("arn:aws:workmail:us-east-1:123456789012:organization/m-????", True),
            ("arn:aws:workmail:us-east-1:123456789012:organization/m-9*", False),
            ("arn:aws:workmail:us-east-1:123456789012:ORGANIZATION/*", False),
        ],
    )
    def test_resources(self, pattern: str, matches: bool) -> None:
        assert allowed(policy(ALLOW | {"Resource": [pattern]})) is matches
        assert allowed(policy({"Effect": "Allow", "Action": "*", "NotResource": pattern})) is not matches

    def test_an_organization_pattern_does_not_cover_everything(self) -> None:
        assert not allowed(policy(ALLOW | {"Resource": "arn:aws:workmail:*:*:organization/*"}), "workmail:ListOrganizations", "*")

    def test_the_administrator_and_the_reader(self) -> None:
        assert allowed(iam.parse(iam.ADMINISTRATOR))
        assert allowed(iam.parse(iam.READ_ONLY), "workmail:ListUsers")
        assert not allowed(iam.parse(iam.READ_ONLY))


KEY = "aws__SourceIp"


class TestConditions:
    @pytest.mark.parametrize(
        ("operator", "value", "given", "holds"),
        [
            ("StringEquals", "a", "a", True),
            ("StringEquals", "a*", "ab", False),
            ("StringEquals", "a", "A", False),
            ("StringNotEquals", "a", "b", True),
            ("StringNotEquals", "a", "a", False),
            ("StringEqualsIgnoreCase", "a", "A", True),
            ("StringNotEqualsIgnoreCase", "a", "A", False),
            ("StringLike", "a*c?", "abbcd", True),
            ("StringLike", "a*", "ba", False),
            ("StringNotLike", "a*", "ab", False),
            ("ArnLike", "arn:aws:workmail:*:*:organization/*", ARN, True),
            ("ArnEquals", "arn:aws:*:*:organization/*:*", ARN, False),
            ("ArnNotLike", "arn:aws:workmail:*:*:organization/*", ARN, False),
            ("Bool", "true", "true", True),
            ("Bool", True, "true", True),
            ("Bool", "true", "false", False),
            ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
            ("IpAddress", "10.0.0.0/8", "::ffff:10.1.2.3", True),
            ("IpAddress", "10.0.0.0/8", "11.1.2.3", False),
            ("IpAddress", "2001:db8::/32", "2001:db8::1", True),
            ("IpAddress", "10.0.0.1", "10.0.0.1", True),
            ("IpAddress", "10.0.0.0/8", "", False),
            ("NotIpAddress", "10.0.0.0/8", "11.1.2.3", True),
            ("NumericEquals", "5", "5.0", True),
            ("NumericNotEquals", 5, "5", False),
            ("NumericLessThan", 5, "4", True),
            ("NumericLessThan", 5, "5", False),
            ("NumericLessThanEquals", 5, "5", True),
            ("NumericGreaterThan", 5, "5", False),
            ("NumericGreaterThanEquals", 5, "5", True),
            ("NumericEquals", 5, "five", False),
            ("DateLessThan", "2026-11-23T00:00:00Z", "2026-11-22T23:59:59Z", True),
            ("DateGreaterThan", "2026-11-23T00:00:00Z", "1795391999", False),
            ("DateEquals", "2026-11-23", "2026-11-23T00:00:00Z", True),
        ],
    )
    def test_operators(self, operator: str, value: Any, given: str, holds: bool) -> None:
        assert allowed(condition(operator, "aws:SourceIp", value), aws__SourceIp=(given,)) is holds

    def test_one_of_the_values_is_enough(self) -> None:
        compiled = condition("StringEquals", "aws:username", "ann", "bob")
        assert allowed(compiled, aws__username=("bob",))
        assert not allowed(compiled, aws__username=("eve",))

    def test_none_of_the_values_for_a_negated_one(self) -> None:
        compiled = condition("StringNotEquals", "aws:username", "ann", "bob")
        assert not allowed(compiled, aws__username=("bob",))
        assert allowed(compiled, aws__username=("eve",))

    def test_all_operators_and_keys_must_hold(self) -> None:
        compiled = policy(ALLOW | {"Condition": {"StringEquals": {"aws:username": "ann"}, "Bool": {"aws:SecureTransport": "true"}}})
        assert allowed(compiled, aws__username=("ann",), aws__SecureTransport=("true",))
        assert not allowed(compiled, aws__username=("ann",), aws__SecureTransport=("false",))

    @pytest.mark.parametrize(
        ("operator", "holds"),
        [
            ("StringEquals", False),
            ("StringNotEquals", True),
            ("StringEqualsIfExists", True),
            ("BoolIfExists", True),
            ("ForAllValues:StringEquals", True),
            ("ForAnyValue:StringEquals", False),
            ("ForAnyValue:StringNotEquals", False),
            ("ForAnyValue:StringEqualsIfExists", True),
        ],
    )
    def test_an_absent_key(self, operator: str, holds: bool) -> None:
        assert allowed(condition(operator, "aws:TagKeys", "true")) is holds

    @pytest.mark.parametrize(
        ("operator", "given", "holds"),
        [
            ("ForAllValues:StringEquals", ("a", "b"), True),
            ("ForAllValues:StringEquals", ("a", "c"), False),
            ("ForAnyValue:StringEquals", ("a", "c"), True),
            ("ForAnyValue:StringEquals", ("c", "d"), False),
            ("ForAllValues:StringNotEquals", ("c", "d"), True),
            ("ForAllValues:StringNotEquals", ("a", "d"), False),
            ("ForAnyValue:StringNotEquals", ("a", "d"), True),
            ("ForAnyValue:StringNotEquals", ("a", "b"), False),
        ],
    )
    def test_several_values(self, operator: str, given: tuple[str, ...], holds: bool) -> None:
        assert allowed(condition(operator, "aws:TagKeys", "a", "b"), aws__TagKeys=given) is holds

    def test_null_asks_whether_the_key_is_there(self) -> None:
        assert allowed(condition("Null", "aws:TagKeys", "true"))
        assert not allowed(condition("Null", "aws:TagKeys", "true"), aws__TagKeys=("a",))
        assert allowed(condition("Null", "aws:TagKeys", False), aws__TagKeys=("a",))

    def test_keys_in_any_case(self) -> None:
        assert allowed(condition("StringEquals", "AWS:userNAME", "ann"), aws__username=("ann",))


class TestVariables:
    def test_in_a_resource(self) -> None:
        compiled = policy(ALLOW | {"Resource": "arn:aws:workmail:*:*:organization/${aws:username}*"})
        assert compiled.contextual
        assert allowed(compiled, aws__username=("m-01",))
        assert not allowed(compiled, aws__username=("m-9",))
        assert not allowed(compiled)

    def test_a_value_is_taken_literally(self) -> None:
        compiled = policy(ALLOW | {"Resource": "arn:aws:workmail:*:*:organization/${aws:username}"})
        assert not allowed(compiled, aws__username=("*",))

    def test_in_a_condition_and_with_a_default(self) -> None:
        compiled = condition("StringEquals", "aws:RequestTag/owner", "${aws:username, 'nobody'}")
        assert allowed(compiled, **{"aws:RequestTag/owner": ("ann",), "aws:username": ("ann",)})
        assert allowed(compiled, **{"aws:RequestTag/owner": ("nobody",)})

    def test_in_a_condition_that_ignores_case(self) -> None:
        compiled = condition("StringEqualsIgnoreCase", "aws:RequestTag/owner", "mail-${aws:username}")
        assert allowed(compiled, **{"aws:RequestTag/owner": ("MAIL-ANN",), "aws:username": ("ann",)})
        assert not allowed(compiled, **{"aws:RequestTag/owner": ("mail-bob",), "aws:username": ("ann",)})

    def test_in_any_part_of_an_arn(self) -> None:
        compiled = condition("ArnLike", "aws:PrincipalArn", "arn:aws:iam::${aws:PrincipalAccount}:user/${aws:username}")
        given = {"aws:PrincipalAccount": ("123456789012",), "aws:username": ("ann",)}
        assert allowed(compiled, aws__PrincipalArn=("arn:aws:iam::123456789012:user/ann",), **given)
        assert not allowed(compiled, aws__PrincipalArn=("arn:aws:iam::210987654321:user/ann",), **given)

    def test_written_out_signs(self) -> None:
        compiled = condition("StringLike", "aws:username", "a${*}b")
        assert allowed(compiled, aws__username=("a*b",))
        assert not allowed(compiled, aws__username=("axb",))

    def test_the_old_version_knows_none(self) -> None:
        old = policy(ALLOW | {"Condition": {"StringEquals": {"aws:username": "${aws:username}"}}}, version="2008-10-17")
        assert not allowed(old, aws__username=("ann",))
        unsaid = iam.parse(json.dumps({"Statement": ALLOW | {"Condition": {"StringEquals": {"aws:username": "${aws:username}"}}}}))
        assert not allowed(unsaid, aws__username=("ann",))


class TestMalformed:
    @pytest.mark.parametrize(
        "document",
        [
            "",
            "nonsense",
            "[]",
            "{}",
            '{"Statement": []}',
            '{"Version": "2025-01-01", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}',
            '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}, "Extra": 1}',
            *(
                json.dumps({"Statement": [statement]})
                for statement in (
                    1,
                    {"Action": "*", "Resource": "*"},
                    {"Effect": "allow", "Action": "*", "Resource": "*"},
                    {"Effect": "Allow", "Resource": "*"},
                    {"Effect": "Allow", "Action": "*"},
                    {"Effect": "Allow", "Action": [], "Resource": "*"},
                    {"Effect": "Allow", "Action": "CreateUser", "Resource": "*"},
                    {"Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*"},
                    {"Effect": "Allow", "Action": "*", "Resource": "organization"},
                    {"Effect": "Allow", "Action": "*", "Resource": ["*", 1]},
                    ALLOW | {"Principal": "*"},
                    ALLOW | {"Sid": "no spaces"},
                    ALLOW | {"Else": 1},
                    ALLOW | {"Condition": []},
                    ALLOW | {"Condition": {"StringIs": {"aws:username": "a"}}},
                    ALLOW | {"Condition": {"StringEquals": "a"}},
                    ALLOW | {"Condition": {"StringEquals": {"username": "a"}}},
                    ALLOW | {"Condition": {"StringEquals": {"aws:username": []}}},
                    ALLOW | {"Condition": {"StringEquals": {"aws:username": {}}}},
                    ALLOW | {"Condition": {"Bool": {"aws:SecureTransport": "perhaps"}}},
                    ALLOW | {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/40"}}},
                    ALLOW | {"Condition": {"NumericEquals": {"aws:EpochTime": "x"}}},
                    ALLOW | {"Condition": {"DateEquals": {"aws:CurrentTime": "x"}}},
                    ALLOW | {"Condition": {"ArnLike": {"aws:PrincipalArn": "x"}}},
                    ALLOW | {"Condition": {"NullIfExists": {"aws:username": "true"}}},
                    ALLOW | {"Condition": {"Null": {"aws:username": "x"}}},
                )
            ),
            json.dumps({"Statement": [ALLOW | {"Sid": "a"}, ALLOW | {"Sid": "a"}]}),
            json.dumps({"Statement": [ALLOW] * 200}),
            "[" * 5000,
        ],
    )
    def test_it_is_refused(self, document: str) -> None:
        with pytest.raises(errors.InvalidParameter, match="The policy document is malformed"):
            iam.parse(document)

    def test_white_space_does_not_count(self) -> None:
        document = json.dumps({"Statement": [ALLOW | {"Sid": f"s{number}"} for number in range(80)]}, indent=8)
        assert len(document) > iam.LONGEST_DOCUMENT
        assert allowed(iam.parse(document))

    def test_a_document_may_be_as_long_as_the_limit(self) -> None:
        spare = iam.LONGEST_DOCUMENT - len(json.dumps({"Id": "", "Statement": ALLOW}, separators=(",", ":")))
        assert allowed(iam.parse(json.dumps({"Id": "x" * spare, "Statement": ALLOW})))
        with pytest.raises(errors.InvalidParameter, match="longer"):
            iam.parse(json.dumps({"Id": "x" * (spare + 1), "Statement": ALLOW}))

    @given(
        st.recursive(
            st.none() | st.booleans() | st.text(max_size=5) | st.integers(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(
                        ["Version", "Statement", "Effect", "Action", "Resource", "Condition", "Sid", "StringEquals", "Bool", "aws:x"]
                    ),
                    inner,
                )
            ),
            max_leaves=20,
        )
    )
    def test_no_document_breaks_the_reader(self, value: Any) -> None:
        try:
            compiled = iam.parse(json.dumps(value))
        except errors.InvalidParameter:
            return
        iam.decide(compiled, "workmail:ListUsers", ARN, {})


class TestWildcards:
    @given(st.text("ab*?.", max_size=8), st.text("ab.", max_size=8))
    def test_they_match_as_shell_patterns_do(self, pattern: str, text: str) -> None:
        assert Wildcard.of(pattern).matches(text, {}) == fnmatch.fnmatchcase(text, pattern)

    def test_no_pattern_takes_long(self) -> None:
        began = time.perf_counter()
        assert expression("*".join("a" * 40) + "b").match("a" * 2000) is None
        assert time.perf_counter() - began < 1.0


def test_a_policy_without_conditions_does_not_look_at_the_request() -> None:
    assert not iam.parse(iam.ADMINISTRATOR).contextual
    tagged = condition("StringEquals", "aws:ResourceTag/team", "x")
    assert tagged.looks_at("aws:resourcetag/")
    assert not condition("Bool", "aws:SecureTransport", True).looks_at("aws:resourcetag/")


def test_escapes_in_the_document_hide_nothing() -> None:
    document = '{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:Resource\\u0054ag/a":"b"}}}}'
    assert iam.parse(document).looks_at("aws:resourcetag/")
