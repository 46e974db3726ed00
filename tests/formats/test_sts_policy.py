"""MTA-STS policies and the records that announce them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.formats.sts_policy import MAX_SIZE, StsPolicy, identifier, parse, write

GOOD = b"version: STSv1\r\nmode: enforce\r\nmx: MX1.example.test\r\nmx: *.example.net\r\nmax_age: 86400\r\n"


def test_a_policy() -> None:
    policy = parse(GOOD)
    assert policy == StsPolicy("enforce", ("mx1.example.test", "*.example.net"), 86400)
    assert parse(GOOD.replace(b"\r", b"")) == policy
    assert parse(GOOD.replace(b"86400", b"9999999999")).max_age == 31_557_600
    assert parse(b"version: STSv1\nmode: none\nmax_age: 1\n").patterns == ()


def test_what_is_written_is_read() -> None:
    policy = parse(GOOD)
    assert parse(write(policy)) == policy
    assert identifier([policy.record]) is not None


@pytest.mark.parametrize(
    ("host", "admitted"),
    [("mx1.example.test.", True), ("a.example.net", True), ("a.b.example.net", False), ("example.net", False), ("mx2.example.test", False)],
)
def test_who_is_admitted(host: str, admitted: bool) -> None:
    assert parse(GOOD).admits(host) is admitted


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"STSv1", b"STSv2"),
        (b"enforce", b"force"),
        (b"mx:", b"my:"),
        (b"86400", b"-1"),
        (b"86400", b""),
        (b"mode:", b"mode"),
        (b"MX1", b"\xff"),
        (b"MX1", b"a b"),
        (b"*.", b"*.*."),
        (b"MX1", b"a" * 260),
    ],
)
def test_what_is_no_policy(old: bytes, new: bytes) -> None:
    with pytest.raises(ValueError, match=r"polic|line|version|max_age|codec|host name"):
        parse(GOOD.replace(old, new))


def test_sizes_are_bounded() -> None:
    for raw in (GOOD + b"\n" * MAX_SIZE, GOOD + b"mx: a.test\n" * 101):
        with pytest.raises(ValueError, match=r"polic|line|version|max_age|codec|host name"):
            parse(raw)


def test_the_record() -> None:
    assert identifier(["v=spf1 -all", "v=STSv1; id=2026a;"]) == "2026a"
    assert identifier(["v=STSv1 ;x=y;\tid=1", "v=STSv10; id=2;", "v=STSv1"]) == "1"
    for texts in (
        [],
        ["v=STSv1; xid=1; id = 2; ID=3"],
        ["v=STSv1; id=a", "v=STSv1; id=b"],
        ["v=STSv1; id="],
        ["v=STSv1; id=a-b"],
        ["v=STSv10; id=a"],
    ):
        assert identifier(texts) is None


@given(st.binary(max_size=300))
def test_any_bytes(raw: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse(raw)
