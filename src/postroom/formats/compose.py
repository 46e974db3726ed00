"""Letters the server writes itself: delivery status reports (RFC 3462, RFC 3464, RFC 6533), and notices to its own users."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate

from postroom.formats.headers import header_block

HEADER_LIMIT = 65_536
"""Octets of the original header that a report returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one recipient. `action` is failed, delayed, delivered, relayed or expanded; `status` an RFC 3463 code.

    `remote_mta` is the host that said `diagnostic`, its SMTP answer; `original_recipient` has its type before it, as in
    `rfc822;x@example.com`; times are seconds since 1970.
    """

    recipient: str
    action: str
    status: str
    diagnostic: str = ""
    remote_mta: str = ""
    original_recipient: str = ""
    last_attempt_at: float | None = None
    retry_until: float | None = None


_SUBJECTS = {
    "failed": "Undelivered mail returned to sender",
    "delayed": "Mail delivery is delayed",
    "delivered": "Mail delivered",
    "relayed": "Mail passed on",
    "expanded": "Mail delivered",
}
_OPENINGS = {
    "failed": "Your message could not be delivered to:",
    "delayed": "Your message could not be delivered yet; there is no need to send it again. Still waiting:",
    "delivered": "Your message was delivered to:",
    "relayed": "Your message was passed on to a server that sends no confirmations, for:",
    "expanded": "Your message was delivered to a list, whose members send no confirmations:",
}


def report(
    *,
    reporting_mta: str,
    sender: str,
    recipient: str,
    outcomes: Sequence[Outcome],
    original: bytes,
    now: float,
    whole: bool = False,
    envelope_id: str = "",
    arrived_at: float | None = None,
) -> bytes:
    """Write a delivery status report to `recipient` about what became of `original`.

    `sender` stands in From (the envelope's sender stays empty, which is the caller's part). It returns the original's header,
    or with `whole` all of it. Texts from elsewhere cannot add lines. A report on 8-bit addresses or headers is a message/global one.
    """
    boundary = f"report-{uuid.uuid4().hex}"
    returned = original if whole else header_block(original)[:HEADER_LIMIT]
    wide = not all(text.isascii() for outcome in outcomes for text in (outcome.recipient, outcome.original_recipient))
    status = _status(outcomes, reporting_mta, envelope_id, arrived_at, wide=wide)
    parts = [
        part("text/plain; charset=utf-8", "Notification", _human(outcomes, reporting_mta).encode()),
        part(f"message/{'global-delivery-status' if wide else 'delivery-status'}", "Delivery report", status),
        part(_returned_type(returned, whole=whole), "Undelivered message" if whole else "Message header", _lines(returned)),
    ]
    mark = f"--{boundary}".encode()
    body = b"".join([mark + b"\r\n" + part + b"\r\n" for part in parts]) + mark + b"--\r\n"
    head = _head(
        reporting_mta=reporting_mta, sender=sender, recipient=recipient, action=outcomes[0].action if outcomes else "failed", now=now,
        content_type=f'multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"',
    )
    return head + b"\r\n" + body


def notice(*, sender: str, recipient: str, subject: str, text: str, now: float) -> bytes:
    """Write a letter to somebody whose mailbox is here, with the null return path, so that nobody answers it (RFC 3834 §5)."""
    host = _address(sender).rpartition("@")[2]
    head = fields(
        [
            ("Return-Path", "<>"),
            ("Date", formatdate(now)),
            ("From", f"Postmaster <{_address(sender)}>"),
            ("To", f"<{_address(recipient)}>"),
            ("Subject", subject),
            ("Message-ID", f"<{uuid.uuid4().hex}@{host}>"),
            ("Auto-Submitted", "auto-generated"),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
        ]
    )
    return head + b"\r\n" + _lines(text.encode())


def _head(*, reporting_mta: str, sender: str, recipient: str, action: str, now: float, content_type: str) -> bytes:
    """Write the header; Auto-Submitted keeps machines from answering (RFC 3834 §5)."""
    return fields(
        [
            ("Date", formatdate(now)),
            ("From", f"Mail Delivery System <{_address(sender)}>"),
            ("To", f"<{_address(recipient)}>"),
            ("Subject", _SUBJECTS.get(action, "Mail delivery status")),
            ("Message-ID", f"<{uuid.uuid4().hex}@{_address(reporting_mta)}>"),
            ("Auto-Submitted", "auto-replied"),
            ("MIME-Version", "1.0"),
        ]
    ) + f"Content-Type: {content_type}\r\n".encode()


def _human(outcomes: Sequence[Outcome], reporting_mta: str) -> str:
    """Say it in plain words, one paragraph for each kind of outcome."""
    lines = [f"This is the mail server {_one_line(reporting_mta)}."]
    for action, opening in _OPENINGS.items():
        told = [outcome for outcome in outcomes if outcome.action == action]
        if told:
            lines += ["", opening, ""]
        for outcome in told:
            lines.append(f"  <{_one_line(outcome.recipient)}>")
            if outcome.diagnostic:
                said = f"{_one_line(outcome.remote_mta)} said: " if outcome.remote_mta else ""
                lines.append(f"    {said}{_one_line(outcome.diagnostic)}")
            if outcome.retry_until is not None:
                lines.append(f"    Attempts go on until {formatdate(outcome.retry_until)}.")
    return "\r\n".join(lines) + "\r\n"


def _status(outcomes: Iterable[Outcome], reporting_mta: str, envelope_id: str, arrived_at: float | None, *, wide: bool) -> bytes:
    """Write the fields per message and per recipient (RFC 3464 §2.2, §2.3)."""
    message = fields(
        [
            ("Original-Envelope-Id", envelope_id),
            ("Reporting-MTA", f"dns; {reporting_mta}"),
            ("Arrival-Date", "" if arrived_at is None else formatdate(arrived_at)),
        ]
    )
    return b"\r\n".join([message, *(_recipient(outcome, wide=wide) for outcome in outcomes)])


def _recipient(outcome: Outcome, *, wide: bool) -> bytes:
    kind = "utf-8" if wide else "rfc822"
    return fields(
        [
            ("Original-Recipient", outcome.original_recipient),
            ("Final-Recipient", f"{kind}; {outcome.recipient}"),
            ("Action", outcome.action),
            ("Status", outcome.status),
            ("Remote-MTA", outcome.remote_mta and f"dns; {outcome.remote_mta}"),
            ("Diagnostic-Code", outcome.diagnostic and f"{_diagnosed_by(outcome)}; {outcome.diagnostic}"),
            ("Last-Attempt-Date", "" if outcome.last_attempt_at is None else formatdate(outcome.last_attempt_at)),
            ("Will-Retry-Until", "" if outcome.retry_until is None else formatdate(outcome.retry_until)),
        ],
        wide=wide,
    )


def _diagnosed_by(outcome: Outcome) -> str:
    """Name the kind of a diagnostic: another server's reply, or words of our own (RFC 3464 §2.3.6)."""
    return "smtp" if outcome.diagnostic[:3].isdigit() else "x-postroom"


def fields(pairs: Iterable[tuple[str, str]], *, wide: bool = True) -> bytes:
    """Write the fields that have a value, each on one line."""
    out = "".join([f"{name}: {_one_line(value)}\r\n" for name, value in pairs if value])
    return out.encode("utf-8" if wide else "ascii", "replace")


def part(content_type: str, description: str, body: bytes) -> bytes:
    """Write a part of a multipart body."""
    encoding = "7bit" if body.isascii() else "8bit"
    head = f"Content-Type: {content_type}\r\nContent-Description: {description}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + body


def _returned_type(returned: bytes, *, whole: bool) -> str:
    wide = not header_block(returned).isascii()
    if whole:
        return "message/global" if wide else "message/rfc822"
    return "message/global-headers" if wide else "text/rfc822-headers"


def _lines(text: bytes) -> bytes:
    """End every line with CRLF, as mail in motion must."""
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def _one_line(text: str) -> str:
    """Make a text harmless inside a header field: one line, no control characters, at most 900 characters."""
    return " ".join("".join([" " if ord(char) < 32 or char in "\x7f\x85\u2028\u2029" else char for char in text]).split())[:900]


def _address(text: str) -> str:
    return _one_line(text).translate({ord(char): None for char in "<> "})
