"""The line that says who sent a letter, Authentication-Results, and the end of those that others wrote in this server's name (RFC 8601).

A reader believes the lines that bear the name of the reader's own server. So of a letter that comes in, every line goes whose name is
ours, or cannot be told.
"""

import re

from postroom.formats import fields
from postroom.mailflow.assessment import Assessment, Authentication, Result, Signature

NAME = "Authentication-Results"
MAX_SIGNATURES = 10
_COMMENT = re.compile(rb"\((?:[^()\\]|\\.)*\)", re.S)
_IDENTITY = re.compile(rb'[ \t\r\n]*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s;"()]+))[ \t\r\n]*(?:[0-9]+[ \t\r\n]*)?(?:;|\Z)')
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~@-]+\Z")
_QUOTED_PAIR = re.compile(rb"\\(.)", re.S)


def stamp(raw: bytes, assessment: Assessment) -> bytes:
    """Put our line before this server's Received, which is the first, and take forged ones off."""
    if not assessment.server:
        return raw
    raw = without_forged(raw, assessment.server)
    known = assessment.authentication
    if known is None or known.says_nothing:
        return raw
    at = next((start for start, _ in fields.spans(raw, ("Received",))), 0)
    return raw[:at] + line(known, assessment.server) + raw[at:]


def without_forged(raw: bytes, hostname: str) -> bytes:
    """Take off every line that bears our name, or whose name cannot be told."""
    kept: list[bytes] = []
    at = 0
    for start, end in fields.spans(raw, (NAME,)):
        name = identity(fields.value(raw, start, end))
        if name is None or name == hostname.lower():
            kept.append(raw[at:start])
            at = end
    return b"".join([*kept, raw[at:]]) if at else raw


def identity(value: bytes) -> str | None:
    """Read who wrote a line, in lower case; None when that cannot be told."""
    if b"(" in value[:1000]:
        for _ in range(5):  # comments within comments
            value, found = _COMMENT.subn(b" ", value)
            if not found:
                break
    match = _IDENTITY.match(value)
    if match is None:
        return None
    name = match["plain"] if match["quoted"] is None else _QUOTED_PAIR.sub(rb"\1", match["quoted"])
    return name.decode("utf-8", "replace").strip().lower()


def line(found: Authentication, hostname: str) -> bytes:
    """Write our line."""
    parts = [f"{NAME}: {hostname}", *_methods(found)]
    return (";\r\n\t".join(parts) + "\r\n").encode()


def sealed_line(found: Authentication, hostname: str, number: int) -> bytes:
    """Write what our line says as a field of a seal, in ASCII (RFC 8617 §4.1.1)."""
    parts = [f"ARC-{NAME}: i={number}; {hostname}", *_methods(found)]
    return (";\r\n\t".join(parts) + "\r\n").encode("ascii", "replace")


def _methods(found: Authentication) -> list[str]:
    parts = []
    if found.iprev is not Result.NONE:
        parts.append(f"iprev={found.iprev} policy.iprev={_value(found.address)}{_comment(found.name)}")
    spf = found.spf
    scope = "smtp.mailfrom" if spf.scope == "mailfrom" else "smtp.helo"
    parts.append(f"spf={spf.result}{_reason(spf.reason)} {scope}={_value(spf.domain)}")
    parts += [_dkim(signature) for signature in found.dkim[:MAX_SIGNATURES]] or ["dkim=none"]
    dmarc = found.dmarc
    if dmarc.domain:
        asked = f" (p={dmarc.published})" if dmarc.record else ""
        parts.append(f"dmarc={dmarc.result}{asked}{_reason(dmarc.reason)} header.from={_value(dmarc.domain)}")
    if found.arc.result is not Result.NONE:
        chain = f" (i={found.arc.instances}{f' d={found.arc.sealer}' if found.arc.sealer else ''})"
        parts.append(f"arc={found.arc.result}{chain}{_reason(found.arc.reason)}")
    return parts


def _dkim(signature: Signature) -> str:
    text = f"dkim={signature.result}{_reason(signature.reason)}"
    for name, value in (("d", signature.domain), ("i", signature.identity), ("s", signature.selector), ("a", signature.algorithm)):
        if value:
            text += f" header.{name}={_value(value)}"
    return text


def _reason(text: str) -> str:
    return f" reason={_quoted(text)}" if text else ""


def _comment(text: str) -> str:
    clean = re.sub(r"[^A-Za-z0-9._-]", "?", text)[:253]
    return f" ({clean})" if clean else ""


def _value(text: str) -> str:
    """Write a value: as it is, or in quotes where it has signs that mean something."""
    return text if len(text) <= 255 and _TOKEN.match(text) else _quoted(text)


def _quoted(text: str) -> str:
    clean = "".join([char if char >= " " and char not in "\x7f\x85\u2028\u2029" else " " for char in text[:200]])
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'
