"""What availability providers are asked and what they answer: JSON for functions, SOAP for EWS servers.

A function gets who asks, about which mailboxes, in which window, and answers events and working hours, or an error, for each mailbox
(WorkMail administration: building a custom availability provider).
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from postroom.model.availability import Requester

SOAP = b"http://schemas.xmlsoap.org/soap/envelope/"
LOGIN = b"""<?xml version="1.0" encoding="utf-8"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"
 xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types">
<soap:Header><t:RequestServerVersion Version="Exchange2010_SP2"/></soap:Header>
<soap:Body><m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape>
<m:FolderIds><t:DistinguishedFolderId Id="calendar"/></m:FolderIds></m:GetFolder></soap:Body></soap:Envelope>
"""
"""The lightest request that a server answers only to somebody it has let in."""


class Details(msgspec.Struct, rename="camel"):
    """What an event is."""

    subject: str = ""
    location: str = ""
    instance_type: Literal["SINGLE_INSTANCE", "RECURRING_INSTANCE", "EXCEPTION"] = "SINGLE_INSTANCE"
    is_meeting: bool = False
    is_reminder_set: bool = False
    is_private: bool = False


class Event(msgspec.Struct, rename="camel"):
    """A time that somebody is busy, or not."""

    start_time: datetime.datetime
    end_time: datetime.datetime
    busy_type: Literal["BUSY", "FREE", "TENTATIVE"]
    details: Details | None = None


class WorkingPeriod(msgspec.Struct, rename="camel"):
    """Minutes of the day on some days of the week."""

    start_minutes: int
    end_minutes: int
    days: list[Literal["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]]


class WorkingHours(msgspec.Struct, rename="camel"):
    """When somebody works."""

    working_periods: list[WorkingPeriod] = []
    timezone: dict[str, Any] | None = None


class Mailbox(msgspec.Struct, rename="camel"):
    """What is known of one mailbox, or why nothing is."""

    mailbox: str
    events: list[Event] = []
    working_hours: WorkingHours | None = None
    error: str | None = None


class Answer(msgspec.Struct):
    """What a function answers."""

    mailboxes: list[Mailbox]


def question(requester: Requester, mailboxes: Sequence[str], start: float, end: float) -> bytes:
    """Write what a function is asked; times are epoch seconds."""
    who = {
        "email": requester.email,
        "userName": requester.name,
        "organization": requester.organization,
        "userId": requester.id,
        "origin": requester.address,
    }
    window = {"startDate": _time(start), "endDate": _time(end)}
    return json.dumps({"requester": who, "mailboxes": list(mailboxes), "window": window}).encode()


def answer(body: bytes) -> Answer:
    """Read what a function answers; raises ValueError with the reason."""
    try:
        return msgspec.json.decode(body, type=Answer)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def admits_anybody(policy: str) -> bool:
    """Say whether a function's resource policy lets the service in without a word on whose behalf it comes.

    That is a statement without a condition on aws:SourceArn or aws:SourceAccount (WorkMail API: TestAvailabilityConfiguration).
    Raises ValueError for what is no policy.
    """
    statements = msgspec.json.decode(policy, type=dict[str, Any]).get("Statement", [])
    return any(_is_open(one) for one in (statements if isinstance(statements, list) else [statements]))


def _is_open(statement: dict[str, Any]) -> bool:
    if statement.get("Effect") != "Allow":
        return False
    principal = statement.get("Principal", {})
    named = [principal] if isinstance(principal, str) else [name for value in principal.values() for name in _listed(value)]
    if not any(name == "*" or name.startswith("availability.workmail.") for name in named):
        return False
    keys = {key.lower() for operator in statement.get("Condition", {}).values() for key in operator}
    return not keys & {"aws:sourcearn", "aws:sourceaccount"}


def _listed(value: Any) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list) else [str(value)]


def _time(at: float) -> str:
    return f"{datetime.datetime.fromtimestamp(at, datetime.UTC):%Y-%m-%dT%H:%M:%S}.000Z"
