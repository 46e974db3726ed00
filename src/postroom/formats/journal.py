"""The record of a letter: its envelope in a few lines of text, spelled as Exchange does, and the letter itself as it was."""

import uuid
from collections.abc import Sequence
from email.utils import formatdate

from postroom.formats import compose
from postroom.formats.headers import header_block
from postroom.formats.message import Letterhead


def write(
    *,
    sender: str,
    recipient: str,
    head: Letterhead,
    envelope_sender: str,
    recipients: Sequence[str],
    original: bytes,
    now: float,
) -> bytes:
    """Write the record of a letter for the address that collects them."""
    boundary = f"journal-{uuid.uuid4().hex}"
    lines = [
        ("Sender", head.sender or head.author or envelope_sender),
        ("Subject", head.subject),
        ("Message-Id", head.message_id),
        *(("Recipient", one) for one in recipients),
    ]
    kind = "message/rfc822" if header_block(original).isascii() else "message/global"
    parts = [
        compose.part("text/plain; charset=utf-8", "Envelope", compose.fields(lines)),
        compose.part(kind, "Message", original),
    ]
    top = compose.fields(
        [
            ("Date", formatdate(now)),
            ("From", f"<{sender}>"),
            ("To", f"<{recipient}>"),
            ("Subject", head.subject),
            ("Message-ID", f"<{uuid.uuid4().hex}@{sender.rpartition('@')[2]}>"),
            ("Auto-Submitted", "auto-generated"),
            ("MIME-Version", "1.0"),
        ]
    )
    mark = f"--{boundary}".encode()
    body = b"".join([mark + b"\r\n" + part + b"\r\n" for part in parts]) + mark + b"--\r\n"
    return top + f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n\r\n'.encode() + body
