"""Policies by which a domain asks for encryption to its mail servers (MTA-STS, RFC 8461)."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_SIZE = 65_536
"""Octets of a policy (RFC 8461 §3.3)."""
MAX_PATTERNS = 100
LONGEST_AGE = 31_557_600
"""Seconds for which a policy may hold (RFC 8461 §3.2)."""
_LONGEST_NAME = 255
_PATTERN = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_RECORD = re.compile(r"v=STSv1[ \t]*;.*", re.DOTALL)
_ID = re.compile(r"id=([A-Za-z0-9]{1,32})")


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A policy: `mode` is enforce, testing or none, `max_age` seconds."""

    mode: str
    patterns: tuple[str, ...]
    max_age: int

    @property
    def lines(self) -> tuple[str, ...]:
        """Write it as a policy host serves it, line by line (RFC 8461 §3.2)."""
        return ("version: STSv1", f"mode: {self.mode}", *(f"mx: {pattern}" for pattern in self.patterns), f"max_age: {self.max_age}")

    @property
    def record(self) -> str:
        """Give the text of the TXT record at `_mta-sts`, whose id changes whenever the policy does (RFC 8461 §3.1)."""
        return f"v=STSv1; id={hashlib.sha256(write(self)).hexdigest()[:20]};"

    def admits(self, host: str) -> bool:
        """Say whether a mail exchanger is one of the domain's; a star stands for one label, the first."""
        name = host.lower().rstrip(".")
        return name in self.patterns or f"*.{name.partition('.')[2]}" in self.patterns


def identifier(texts: Sequence[str]) -> str | None:
    """Read the policy's id from the TXT records at `_mta-sts`; None unless exactly one is of MTA-STS (RFC 8461 §3.1)."""
    ours = [text for text in texts if _RECORD.fullmatch(text)]
    if len(ours) != 1:
        return None
    found = (_ID.fullmatch(field.strip(" \t")) for field in ours[0].split(";"))
    return next((id[1] for id in found if id), None)


def parse(raw: bytes) -> StsPolicy:
    """Read a policy; of a repeated field the first counts, but for `mx`. Raises `ValueError`."""
    if len(raw) > MAX_SIZE:
        raise ValueError("the policy is too large")
    fields: dict[str, list[str]] = {}
    for line in raw.decode("utf-8").split("\n"):
        key, colon, value = line.partition(":")
        if line.strip() and not colon:
            raise ValueError("a line has no colon")
        fields.setdefault(key.strip(), []).append(value.strip())
    mode, age, patterns = fields.get("mode", [""])[0], fields.get("max_age", [""])[0], fields.get("mx", [])
    if fields.get("version", [""])[0] != "STSv1" or mode not in {"enforce", "testing", "none"}:
        raise ValueError("no version or mode that is known")
    if not re.fullmatch("[0-9]{1,10}", age) or (mode != "none" and not patterns) or len(patterns) > MAX_PATTERNS:
        raise ValueError("no max_age, or no mail exchangers, or too many")
    named = tuple(pattern.lower().rstrip(".") for pattern in patterns)
    if not all(len(pattern) <= _LONGEST_NAME and _PATTERN.fullmatch(pattern) for pattern in named):
        raise ValueError("a mail exchanger is no host name")
    return StsPolicy(mode, named, min(int(age), LONGEST_AGE))


def write(policy: StsPolicy) -> bytes:
    """Write a policy as its host serves it."""
    return "".join(f"{line}\r\n" for line in policy.lines).encode()
