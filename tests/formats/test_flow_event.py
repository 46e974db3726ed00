"""What a hook is told and what it may answer."""

import json

import pytest

from postroom.formats import flow_event

TOLD = {"message": "m", "invocation": "i", "inbound": True}


def test_an_event_as_workmail_sends_it() -> None:
    raw = flow_event.write(author="a@far.test", sender="b@far.test", subject="x" * 300, recipients=["c@example.test"], **TOLD)  # type: ignore[arg-type]
    assert json.loads(raw) == {
        "summaryVersion": "2018-10-10",
        "envelope": {"mailFrom": {"address": "a@far.test"}, "recipients": [{"address": "c@example.test"}]},
        "sender": {"address": "b@far.test"},
        "subject": "x" * 256,
        "messageId": "m",
        "invocationId": "i",
        "flowDirection": "INBOUND",
        "truncated": False,
    }


@pytest.mark.parametrize("sender", ["", "A@far.test"])
def test_who_writes_for_nobody_else_is_named_once(sender: str) -> None:
    raw = flow_event.write(author="a@far.test", sender=sender, subject="", recipients=[], **TOLD)  # type: ignore[arg-type]
    assert "sender" not in json.loads(raw)


def test_recipients_for_whom_there_is_no_room_are_left_out() -> None:
    many = [f"{number:060}@{'x' * 60}.example.test" for number in range(2000)]
    raw = flow_event.write(author="a@far.test", sender="", subject="\N{GRINNING FACE}" * 300, recipients=many, **TOLD)  # type: ignore[arg-type]
    event = json.loads(raw)
    kept = [one["address"] for one in event["envelope"]["recipients"]]
    assert len(raw) < flow_event.EVENT_BYTES
    assert 500 < len(kept) < 2000
    assert (kept, event["truncated"]) == (many[: len(kept)], True)


@pytest.mark.parametrize(
    ("value", "meant"), [("true", True), ('"true"', True), ('"True"', True), ("false", False), ('"no"', False), ("null", False)]
)
def test_all_recipients_may_be_said_in_two_ways(value: str, meant: bool) -> None:
    answer = flow_event.read(f'{{"actions": [{{"action": {{"type": "DROP"}}, "allRecipients": {value}}}], "more": 1}}'.encode())
    assert answer.actions[0].for_all is meant


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"actions": null}',
        b'{"actions": [{}]}',
        b'{"actions": [{"action": {"type": "drop"}}]}',
        b"\xff",
        b"[" * 100_000,
        b'{"actions": []' + b" " * flow_event.ANSWER_BYTES + b"}",
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        flow_event.read(body)
