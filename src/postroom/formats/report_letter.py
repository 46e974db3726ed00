"""The letters in which reports go between mail servers (RFC 7489 §7.2.1.1, RFC 8460 §5)."""

import base64
import gzip
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate

from postroom.formats import compose

DAY = 86_400
_WIDTH = 76


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who reports: a name for people, the address that letters come from, whose domain is what a report is known by, and one to ask."""

    name: str
    address: str
    contact: str

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is about: a domain and a day of UTC, in days since 1970; `id` tells the report from every other of the submitter."""

    domain: str
    day: int
    id: str

    @property
    def begin(self) -> int:
        """The first second of the day, since 1970."""
        return self.day * DAY

    @property
    def end(self) -> int:
        """The last one."""
        return self.begin + DAY - 1

    def file_name(self, submitter: Submitter, ending: str) -> str:
        """Name the file of the report (RFC 7489 §7.2.1.1, RFC 8460 §5.1)."""
        return f"{submitter.domain}!{self.domain}!{self.begin}!{self.end}!{self.id}.{ending}"


def dmarc(submitter: Submitter, recipient: str, subject: Subject, xml: bytes, now: float) -> bytes:
    """Write a letter with an aggregate report of DMARC."""
    text = f"This is a DMARC aggregate report from {submitter.name} about mail with {subject.domain} in From."
    name = subject.file_name(submitter, "xml.gz")
    parts = [_text(text, submitter), _attachment("application/gzip", name, packed(xml))]
    return _letter(submitter, recipient, subject, "multipart/mixed", parts, now)


def tls(submitter: Submitter, recipient: str, subject: Subject, json: bytes, now: float) -> bytes:
    """Write a letter with a report of TLS (RFC 8460 §5.3). It asks to be carried even where TLS fails (RFC 8689 §5)."""
    text = f"This is a report from {submitter.name} of how connections to the mail servers of {subject.domain} were encrypted."
    name = subject.file_name(submitter, "json.gz")
    parts = [_text(text, submitter), _attachment("application/tlsrpt+gzip", name, packed(json))]
    more = [("TLS-Report-Domain", subject.domain), ("TLS-Report-Submitter", submitter.domain), ("TLS-Required", "No")]
    return _letter(submitter, recipient, subject, "multipart/report; report-type=tlsrpt", parts, now, more)


def packed(report: bytes) -> bytes:
    """Compress a report; the same one is the same octets again."""
    return gzip.compress(report, mtime=0)


def _letter(
    submitter: Submitter,
    recipient: str,
    subject: Subject,
    kind: str,
    parts: Sequence[bytes],
    now: float,
    more: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Put the parts of a letter together; it has the null return path, so that nobody answers it."""
    boundary = f"report-{uuid.uuid4().hex}"
    head = compose.fields(
        [
            ("Return-Path", "<>"),
            ("Date", formatdate(now)),
            ("From", f"<{submitter.address}>"),
            ("To", f"<{recipient}>"),
            ("Reply-To", f"<{submitter.contact}>" if submitter.contact != submitter.address else ""),
            ("Subject", f"Report Domain: {subject.domain} Submitter: {submitter.domain} Report-ID: <{subject.id}@{submitter.domain}>"),
            ("Message-ID", f"<{uuid.uuid4().hex}@{submitter.domain}>"),
            *more,
            ("Auto-Submitted", "auto-generated"),
            ("MIME-Version", "1.0"),
            ("Content-Type", f'{kind}; boundary="{boundary}"'),
        ]
    )
    mark = f"--{boundary}".encode()
    return head + b"\r\n" + b"".join([mark + b"\r\n" + part + b"\r\n" for part in parts]) + mark + b"--\r\n"


def _text(text: str, submitter: Submitter) -> bytes:
    body = f"{' '.join(text.split())}\r\nQuestions go to {submitter.contact}.\r\n"
    encoding = "7bit" if body.isascii() else "8bit"
    return (
        compose.fields([("Content-Type", "text/plain; charset=utf-8"), ("Content-Transfer-Encoding", encoding)]) + b"\r\n" + body.encode()
    )


def _attachment(kind: str, name: str, content: bytes) -> bytes:
    head = compose.fields(
        [
            ("Content-Type", kind),
            ("Content-Disposition", f'attachment; filename="{name}"'),
            ("Content-Transfer-Encoding", "base64"),
        ]
    )
    encoded = base64.b64encode(content)
    lines = b"\r\n".join(encoded[at : at + _WIDTH] for at in range(0, len(encoded), _WIDTH))
    return head + b"\r\n" + lines + b"\r\n"
