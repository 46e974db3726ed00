"""What an operator may set about hooks, and how their secrets are read."""

import base64
import binascii
import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

PREFIX = "whsec_"
FEWEST, MOST = 24, 64
"""Octets of a secret (Standard Webhooks: signature scheme)."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that flow rules call: over HTTP, or a function of AWS Lambda."""

    url: str = ""
    """Where events are posted, `https://` or, to this machine, `http://`. Its answer says what is done with a letter."""
    secret: str = ""
    """What signs the requests: `whsec_` and 24 to 64 octets in base64, as Standard Webhooks have it."""
    secret_file: str = ""
    """A file with the secret, in its place."""
    ca: str = ""
    """A PEM file with the authorities to trust for `url`; the system's when empty."""
    plain: bool = False
    """Whether `http://` may go to another machine. Subjects and addresses are in the events."""
    function: str = ""
    """In the place of `url`: the ARN, or the name, of a function of AWS Lambda, which is asked by `[aws]`."""


def key(part: Settings) -> bytes:
    """Give the key that signs; raises ValueError, OSError for a file that cannot be read."""
    text = part.secret or Path(part.secret_file).read_text().strip()
    try:
        found = base64.b64decode(text.removeprefix(PREFIX), validate=True) if text.startswith(PREFIX) else b""
    except binascii.Error:
        found = b""
    if not FEWEST <= len(found) <= MOST:
        raise ValueError(f"a secret is {PREFIX} and {FEWEST} to {MOST} octets in base64")
    return found


def check(part: Settings) -> None:
    """Raise ValueError for what can never be called, or would tell others too much."""
    if bool(part.url) == bool(part.function):
        raise ValueError("needs either url or function")
    if part.function:
        return
    if not part.url.isascii() or not part.url.isprintable() or " " in part.url:
        raise ValueError("url: it is no URL")
    url = urlsplit(part.url)
    if url.scheme not in ("http", "https") or not url.hostname or url.port == 0 or url.username is not None:
        raise ValueError("url: it must begin with https:// and a host, without a name or password")
    if url.scheme == "http" and not part.plain and not _loopback(url.hostname):
        raise ValueError("url: what letters are about would go there in clear; use https, or say plain = true")
    if bool(part.secret) == bool(part.secret_file):
        raise ValueError("needs either secret or secret_file")
    if part.secret:
        key(part)


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
