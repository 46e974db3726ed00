"""Tests drawn from the service model: handlers, constraints, answers, errors."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.api import errors, operations, validation
from postroom.api.errors import Refusal
from postroom.api.model import Shape, full_match, load
from postroom.api.operation import OPERATIONS
from postroom.model import errors as words
from tests.api.conftest import Gate

operations.enter_all()
MODEL = load()
ORGANIZATION = f"m-{'0' * 32}"
FITTING = {
    "OrganizationId": ORGANIZATION,
    "AmazonResourceName": f"arn:aws:workmail:us-east-1:123456789012:organization/{ORGANIZATION}",
    "EmailAddress": "bob@example.test",
    "DomainName": "example.test",
    "WorkMailDomainName": "example.test",
    "ResourceId": f"r-{'0' * 32}",
    "DirectoryId": "d-0123456789",
    "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/x",
    "IdentityProviderUserId": "0123abcd-0123-0123-0123-0123456789ab",
    "IdentityProviderUserIdForUpdate": "",
    "Url": "https://example.test/ews",
    "LambdaArn": "arn:aws:lambda:us-east-1:123456789012:function:availability",
    "RoleArn": "arn:aws:iam::123456789012:role/x",
    "LogGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:x:*",
    "IpAddress": "192.0.2.1",
    "IpRange": "192.0.2.0/24",
    "InstanceArn": "arn:aws:sso:::instance/ssoins-0123456789abcdef",
    "ApplicationArn": "arn:aws:sso::123456789012:application/ssoins-0123456789abcdef/apl-0123456789abcdef",
    "IdentityProviderIdentityStoreId": "d-0123456789",
    "IdentityProviderUserIdPrefix": "0123",
    "WorkMailIdentifier": "0123456789ab",
}


def fitting(shape: Shape) -> Any:
    """Make a value that satisfies a shape, with every member."""
    if shape.kind == "structure":
        return {member.name: fitting(member.shape) for member in shape.members}
    if shape.kind == "list":
        assert shape.member is not None
        return [fitting(shape.member)] * int(max(shape.least or 0, 1))
    if shape.kind == "string":
        return FITTING[shape.name] if shape.name in FITTING else (shape.enum or ("a" * int(shape.least or 1),))[0]
    return {"boolean": True, "timestamp": 1.5, "double": 1.5}.get(shape.kind, int(shape.least or 1))


def violating(shape: Shape) -> Iterator[tuple[str, Any]]:
    """Make, for every constraint of a shape, a value that breaks just about that one."""
    if shape.kind == "structure":
        for member in shape.members:
            if member.required:
                yield f"{member.name} missing", {name: value for name, value in fitting(shape).items() if name != member.name}
            for why, value in violating(member.shape):
                yield f"{member.name} {why}", fitting(shape) | {member.name: value}
    elif shape.kind == "list":
        assert shape.member is not None
        if shape.most is not None:
            yield "too many", [fitting(shape.member)] * int(shape.most + 1)
        if shape.least:
            yield "too few", []
        yield from ((f"member {why}", [value]) for why, value in violating(shape.member))
    elif shape.kind == "string":
        if shape.enum:
            yield "none of the set", "NO_SUCH_VALUE"
        if shape.most is not None:
            yield "too long", "a" * int(shape.most + 1)
        if shape.least:
            yield "too short", "a" * int(shape.least - 1)
        if shape.pattern is not None:
            bad = next((text for text in _ODD if not re.match(full_match(shape.pattern), text) and _long_enough(shape, text)), None)
            if bad is not None:
                yield "off the pattern", bad
    else:
        if shape.most is not None:
            yield "too high", int(shape.most) + 1
        if shape.least is not None:
            yield "too low", int(shape.least) - 1


_ODD = ("\x01", "\u1234" * 3, "\u1234" * 12, "\u1234" * 20, "\u1234" * 34)


def _long_enough(shape: Shape, text: str) -> bool:
    return (shape.least or 0) <= len(text) <= (shape.most or 99)


NAMES = sorted(OPERATIONS)


def test_every_registered_operation_is_in_the_model() -> None:
    assert set(NAMES) <= set(MODEL.operations)
    assert len(NAMES) >= 40


def test_the_whole_model_can_be_read() -> None:
    assert len(MODEL.operations) == 92
    assert (MODEL.target_prefix, MODEL.signing_name) == ("WorkMailService", "workmail")
    for name in MODEL.operations:
        assert validation.decoder(name)


@pytest.mark.parametrize("name", sorted(MODEL.operations))
def test_a_fitting_request_is_accepted_either_way(name: str) -> None:
    wanted = fitting(MODEL.operations[name].input)
    body = msgspec.json.encode(wanted)
    assert validation.decoder(name)(body) == wanted
    assert validation.explain(MODEL.operations[name], body) == wanted


@pytest.mark.parametrize("name", sorted(MODEL.operations))
def test_every_constraint_has_a_violating_request(name: str) -> None:
    for why, params in violating(MODEL.operations[name].input):
        body = msgspec.json.encode(params)
        with pytest.raises(msgspec.ValidationError):
            validation.decoder(name)(body)
        with pytest.raises(Refusal) as caught:
            validation.decode(name, body)
        assert caught.value.code == "ValidationException", why
        assert re.match(r"[1-9]\d* validation errors? detected: Value", caught.value.text), why


def test_violations_are_refused_over_http(gate: Gate) -> None:
    for name in NAMES:
        why, params = next(violating(MODEL.operations[name].input), ("", None))
        if params is not None:
            reply = gate.call(name, params)
            assert (reply.status, reply.code) == (400, "ValidationException"), (name, why)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Take a fitting request and spoil some of it."""
    name = draw(st.sampled_from(sorted(MODEL.operations)))
    params = fitting(MODEL.operations[name].input)
    for member in draw(st.sets(st.sampled_from([*params, "Unknown"]), max_size=2)):
        params[member] = draw(JSON)
    return name, params


@given(requests())
def test_the_fast_and_the_slow_way_agree(request_: tuple[str, dict[str, Any]]) -> None:
    name, params = request_
    body = msgspec.json.encode(params)
    try:
        fast: Any = validation.decoder(name)(body)
    except (ValueError, RecursionError):
        return
    slow = outcome(lambda: validation.explain(MODEL.operations[name], body))
    assert slow == fast or (slow == "ValidationException" and b"\\u0000" in body)


def outcome(decode: Callable[[], Any]) -> Any:
    """Give what is decoded, or the code of the refusal."""
    try:
        return decode()
    except Refusal as refusal:
        return refusal.code


@given(st.binary(max_size=60))
def test_no_body_breaks_the_reader(body: bytes) -> None:
    assert outcome(lambda: validation.decode("CreateUser", body)) in ("ValidationException", "SerializationException")


class TestWording:
    @pytest.mark.parametrize(
        ("name", "body", "text"),
        [
            (
                "CreateOrganization",
                {"Alias": "x" * 63},
                f"1 validation error detected: Value '{'x' * 63}' at 'alias' failed to satisfy constraint: "
                "Member must have length less than or equal to 62",
            ),
            (
                "ListUsers",
                {"MaxResults": 101},
                "2 validation errors detected: Value null at 'organizationId' failed to satisfy constraint: Member must not be null; "
                "Value '101' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100",
            ),
            (
                "CreateUser",
                {"OrganizationId": ORGANIZATION, "Name": "bob", "DisplayName": "Bob", "Role": "KING"},
                "1 validation error detected: Value 'KING' at 'role' failed to satisfy constraint: "
                "Member must satisfy enum value set: [USER, RESOURCE, SYSTEM_USER, REMOTE_USER]",
            ),
            (
                "ResetPassword",
                {"OrganizationId": ORGANIZATION, "UserId": "0123456789ab", "Password": "\u1234secret"},
                "1 validation error detected: Value at 'password' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: [\\u0020-\\u00FF]+",
            ),
            (
                "TagResource",
                {"ResourceARN": FITTING["AmazonResourceName"], "Tags": [{"Key": "a", "Value": "b"}, {"Key": "", "Value": "b"}]},
                "1 validation error detected: Value '' at 'tags.2.member.key' failed to satisfy constraint: "
                "Member must have length greater than or equal to 1",
            ),
            (
                "UntagResource",
                {"ResourceARN": FITTING["AmazonResourceName"], "TagKeys": ["a", ""]},
                "1 validation error detected: Value '[a, ]' at 'tagKeys' failed to satisfy constraint: "
                "Member must satisfy constraint: [Member must have length greater than or equal to 1]",
            ),
        ],
    )
    def test_it_is_that_of_aws(self, name: str, body: dict[str, Any], text: str) -> None:
        with pytest.raises(Refusal) as caught:
            validation.decode(name, msgspec.json.encode(body))
        assert caught.value.text == text

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            (b'{"Alias":5}', "NUMBER_VALUE can not be converted to a String"),
            (b'{"Alias":true}', "TRUE_VALUE can not be converted to a String"),
            (b'{"Alias":"a","EnableInteroperability":"no"}', "STRING_VALUE can not be converted to a Boolean"),
            (b'{"Alias":["a"]}', "Start of list found where not expected"),
            (b'{"Alias":{}}', "Start of structure or map found where not expected."),
            (b'{"Alias":"a","Domains":{}}', "Expected list or null"),
            (b'{"Alias":"a","Domains":["b"]}', "Expected map or null"),
            (b"[]", "Expected map or null"),
            (b"{", "The request body is not a JSON document."),
            (b'{"Alias":"\xff"}', "The request body is not a JSON document."),
            (b"[" * 100_000, "The request body is not a JSON document."),
        ],
    )
    def test_another_type_is_a_serialization_error(self, body: bytes, text: str) -> None:
        with pytest.raises(Refusal) as caught:
            validation.decode("CreateOrganization", body)
        assert (caught.value.code, caught.value.text) == ("SerializationException", text)

    def test_what_aws_forgives(self) -> None:
        body = b'{"OrganizationId":"%s","MaxResults":5.0,"NextToken":null,"Unknown":{}}' % ORGANIZATION.encode()
        assert validation.decode("ListUsers", body) == {"OrganizationId": ORGANIZATION, "MaxResults": 5}

    def test_a_zero_byte_is_refused(self) -> None:
        with pytest.raises(Refusal, match="description"):
            validation.decode(
                "PutAccessControlRule",
                b'{"Name":"a","Effect":"ALLOW","Description":"a\\u0000","OrganizationId":"%s"}' % ORGANIZATION.encode(),
            )

    def test_an_empty_body_is_an_empty_request(self) -> None:
        assert validation.decode("ListOrganizations", b"") == {}


class TestErrors:
    def test_every_domain_error_has_its_code(self) -> None:
        every = {word for _, word in inspect.getmembers(words, inspect.isclass) if issubclass(word, words.PostroomError)}
        assert every - {words.PostroomError} == set(errors.CODES)

    def test_every_code_is_one_of_the_model_or_of_aws(self) -> None:
        declared = frozenset().union(*(operation.errors for operation in MODEL.operations.values()))
        assert set(errors.CODES.values()) <= declared | errors.COMMON
        for code in errors.CODES.values():
            assert errors.status_of(code) in (400, 503)


class TestPatterns:
    def test_the_dialect_is_rewritten(self) -> None:
        assert not re.match(full_match(r"[\w]+"), "ä")
        assert re.match(full_match(r"[\p{L}]+"), "ä")
        assert not re.match(full_match("^m-[0-9a-f]{2}$"), "m-00\n")
        assert not re.match(full_match("[a-z]+"), "abc1")
