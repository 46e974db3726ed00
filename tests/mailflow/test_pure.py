"""What needs neither store nor network: back-off, routes, verdicts, trace lines."""

import email
import itertools

import pytest

from postroom.mailflow import queue, routes, trace, verdicts
from postroom.mailflow.verdicts import Fate

OWN = frozenset({"mx.example.test"})


def test_the_times_of_attempts() -> None:
    at, times = 0.0, []
    for attempts in itertools.count(1):
        if queue.expired(at):
            break
        at += queue.delay(attempts, at)
        times.append(at)
    minutes = [round(time / 60) for time in times]
    assert minutes[:5] == [5, 15, 35, 75, 135]
    hours = [time / 3600 for time in times]
    gaps = [later - earlier for earlier, later in itertools.pairwise(hours)]
    assert all(gap == 1 for hour, gap in zip(hours[4:], gaps[4:], strict=False) if hour < 8)
    assert all(gap == 4 for hour, gap in zip(hours, gaps, strict=False) if hour >= 8)
    assert 120 <= hours[-1] < 125


@pytest.mark.parametrize(
    ("exchanges", "expected"),
    [
        ([], ["far.test"]),
        ([(10, "a.test"), (20, "b.test")], ["a.test", "b.test"]),
        ([(10, "a.test"), (20, "mx.example.test"), (20, "b.test"), (30, "c.test")], ["a.test"]),
        ([(10, "mx.example.test")], "5.4.6"),
        ([(0, "")], "5.1.10"),
        ([(preference, f"{preference}.test") for preference in range(30)], [f"{preference}.test" for preference in range(10)]),
    ],
)
def test_the_hosts_of_a_domain(exchanges: list[tuple[int, str]], expected: list[str] | str) -> None:
    chosen = routes.choose("far.test", exchanges, OWN)
    assert (chosen.status if isinstance(chosen, verdicts.Verdict) else chosen) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("relay.test", ("relay.test", 25)),
        ("relay.test:587", ("relay.test", 587)),
        ("192.0.2.1:587", ("192.0.2.1", 587)),
        ("2001:db8::1", ("2001:db8::1", 25)),
        ("[2001:db8::1]:587", ("2001:db8::1", 587)),
        ("[2001:db8::1]", ("2001:db8::1", 25)),
        ("localhost:2525", ("127.0.0.1", 2525)),
    ],
)
def test_a_smarthost_is_a_host_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert routes.host_and_port(text) == expected


@pytest.mark.parametrize(
    ("code", "text", "fate", "status"),
    [
        (250, "2.1.5 fine", Fate.DELIVERED, "2.1.5"),
        (250, "fine", Fate.DELIVERED, "2.0.0"),
        (450, "4.7.1 greylisted", Fate.DEFERRED, "4.7.1"),
        (451, "later", Fate.DEFERRED, "4.3.0"),
        (550, "no such user", Fate.FAILED, "5.1.1"),
        (550, "2.0.0 confused", Fate.FAILED, "5.1.1"),
        (554, "5.7.1 spam\nline two", Fate.FAILED, "5.7.1"),
        (354, "what", Fate.DEFERRED, "4.0.0"),
        (-1, "garbage", Fate.DEFERRED, "4.0.0"),
    ],
)
def test_replies_judged(code: int, text: str, fate: Fate, status: str) -> None:
    verdict = verdicts.from_reply(code, text, "mx.far.test")
    assert (verdict.fate, verdict.status) == (fate, status)
    assert "\n" not in verdict.text


def test_trace_lines_of_one_recipient_and_of_many() -> None:
    given = {"origin": trace.stranger("x(evil)\\y", "::1"), "host": "mx.example.test", "protocol": "ESMTPS", "id": "abc", "now": 0.0}
    one = trace.lines(sender="a@far.test", recipients=["alice@example.test"], cipher="TLSv1.3 X", **given)
    message = email.message_from_bytes(one)
    assert message["Return-Path"] == "<a@far.test>"
    assert message["Delivered-To"] == "alice@example.test"
    assert message["Received"].split("\r\n\t") == [
        "from x?evil??y ([IPv6:::1])",
        "by mx.example.test with ESMTPS id abc",
        "(TLSv1.3 X)",
        "for <alice@example.test>; Thu, 01 Jan 1970 00:00:00 -0000",
    ]
    many = trace.lines(sender="", recipients=["alice@example.test", "secret@example.test"], **given)
    assert b"alice" not in many
    assert b"secret" not in many
    assert many.startswith(b"Return-Path: <>\r\n")


def test_the_return_path_comes_off_and_nothing_else() -> None:
    assert trace.without_return_path(b"Return-Path: <a@b>\r\nX: y\r\n\r\n") == b"X: y\r\n\r\n"
    assert trace.without_return_path(b"Return-Path:\r\n <a@b>\r\n\tmore\r\nX: y\r\n") == b"X: y\r\n"
    assert trace.without_return_path(b"X: y\r\nReturn-Path: z\r\n") == b"X: y\r\nReturn-Path: z\r\n"
