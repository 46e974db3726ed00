"""What availability functions are asked and answer."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.formats import availability
from postroom.model.availability import Requester

ORGANIZATION = "m-0123456789abcdef0123456789abcdef"
EVENT = {"startTime": "2021-05-03T23:00:00.000Z", "endTime": "2021-05-04T03:00:00.000Z", "busyType": "BUSY"}
DETAILS = {"subject": "Late", "location": "Room", "instanceType": "EXCEPTION", "isMeeting": True, "isReminderSet": True, "isPrivate": False}
HOURS = {
    "timezone": {"name": "W. Europe Standard Time"},
    "workingPeriods": [{"startMinutes": 480, "endMinutes": 1040, "days": ["MON", "TUE"]}],
}


def test_the_question_is_worded_as_functions_expect() -> None:
    who = Requester("alice@example.test", "alice", "S-1-5-18", ORGANIZATION, "192.0.2.7")
    assert json.loads(availability.question(who, ["bob@other.test"], 1_620_086_400.0, 1_620_259_200.0)) == {
        "requester": {
            "email": "alice@example.test",
            "userName": "alice",
            "organization": ORGANIZATION,
            "userId": "S-1-5-18",
            "origin": "192.0.2.7",
        },
        "mailboxes": ["bob@other.test"],
        "window": {"startDate": "2021-05-04T00:00:00.000Z", "endDate": "2021-05-06T00:00:00.000Z"},
    }


def test_an_answer_of_events_hours_and_errors() -> None:
    known = {"mailbox": "bob@other.test", "events": [EVENT | {"details": DETAILS}, EVENT], "workingHours": HOURS}
    unknown = {"mailbox": "nobody@other.test", "error": "MailboxNotFound"}
    bob, nobody = availability.answer(json.dumps({"mailboxes": [known, unknown]}).encode()).mailboxes
    assert [event.busy_type for event in bob.events] == ["BUSY", "BUSY"]
    assert bob.events[0].start_time.timestamp() == 1_620_082_800
    assert bob.events[0].details is not None
    assert (bob.events[0].details.subject, bob.events[1].details) == ("Late", None)
    assert bob.working_hours is not None
    assert bob.working_hours.working_periods[0].days == ["MON", "TUE"]
    assert (nobody.error, nobody.events) == ("MailboxNotFound", [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'"Simple Lambda happy path OK"',
        b'{"mailboxes": [{}]}',
        json.dumps({"mailboxes": [{"mailbox": "a", "events": [EVENT | {"busyType": "OOF"}]}]}).encode(),
        json.dumps({"mailboxes": [{"mailbox": "a", "events": [EVENT | {"endTime": "tomorrow"}]}]}).encode(),
        b'{"mailboxes": [{"mailbox": "a", "workingHours": {"timezone": {"a": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        availability.answer(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(EVENT["startTime"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*EVENT, "mailbox", "events", "workingHours"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(JSON.map(lambda value: json.dumps({"mailboxes": value}).encode()) | st.binary(max_size=40))
def test_whatever_a_function_answers_is_read_or_refused(body: bytes) -> None:
    with suppress(ValueError):
        for mailbox in availability.answer(body).mailboxes:
            assert all(event.end_time.year > 0 for event in mailbox.events)


SERVICE = {"Service": "availability.workmail.us-east-1.amazonaws.com"}
ACCOUNT = {"StringEquals": {"AWS:SourceAccount": "123456789012"}}
ARN = {"ArnLike": {"aws:sourcearn": "arn:aws:workmail:us-east-1:123456789012:organization/*"}}


@pytest.mark.parametrize(
    ("statements", "anybody"),
    [
        ([{"Effect": "Allow", "Principal": SERVICE}], True),
        ([{"Effect": "Allow", "Principal": SERVICE, "Condition": ACCOUNT}], False),
        ([{"Effect": "Allow", "Principal": SERVICE, "Condition": ARN}], False),
        ([{"Effect": "Allow", "Principal": SERVICE, "Condition": ARN}, {"Effect": "Allow", "Principal": "*"}], True),
        ([{"Effect": "Allow", "Principal": {"AWS": ["123456789012", "*"]}}], True),
        ([{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}}], False),
        ([{"Effect": "Deny", "Principal": "*"}], False),
        ({"Effect": "Allow", "Principal": SERVICE, "Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
        ([], False),
    ],
)
def test_whom_a_policy_lets_in(statements: object, anybody: bool) -> None:
    assert availability.admits_anybody(json.dumps({"Version": "2012-10-17", "Statement": statements})) is anybody
