"""To whom a report of DMARC goes: the addresses in a record, and whether those elsewhere want it (RFC 7489 §7.1).

A record may name any address; so that nobody gets reports whom they do not concern, an address of another organization counts only if
DNS of that one says so. The size that is left on an address bounds the letter.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from postroom.formats import dkim
from postroom.mailflow.authentication import dmarc
from postroom.mailflow.resolver import NoAnswer
from postroom.model import addresses
from postroom.model.addresses import Address, domain_key
from postroom.model.errors import InvalidParameter

MAX_ADDRESSEES = 5
"""Addresses of a record that are looked at."""
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"!([0-9]{1,15})([kmgt]?)\Z", re.IGNORECASE | re.ASCII)
_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")

Texts = Callable[[str], Sequence[str]]
"""Gives the TXT records of a name, none where it does not exist; raises `NoAnswer`."""


@dataclass(frozen=True, slots=True)
class Addressee:
    """Who gets a report; `most` is the octets that are taken, 0 for any number."""

    address: str
    most: int = 0

    @property
    def domain(self) -> str:
        """The domain of the address, in A-labels."""
        return domain_key(self.address.rpartition("@")[2])


def parse(uri: str) -> Addressee | None:
    """Read a mailto address with the size behind it (RFC 7489 §6.2); None for what is none."""
    scheme, _, rest = uri.strip().partition(":")
    size = _SIZE.search(rest)
    found = mailbox(rest[: size.start()] if size else rest) if scheme.lower() == "mailto" else None
    if found is None:
        return None
    return Addressee(str(found), int(size[1]) * _UNITS[size[2].lower()] if size else 0)


def mailbox(path: str) -> Address | None:
    """Read the one address of a mailto URI behind its scheme (RFC 6068 §2); None for what is none, or more than one."""
    try:
        found = addresses.parse(unquote(path.partition("?")[0]))
        domain_key(found.domain)
    except InvalidParameter:
        return None
    return found if str(found).isprintable() and len(str(found)) <= 254 else None


def choose(domain: str, uris: Iterable[str], texts: Texts) -> list[Addressee]:
    """Pick those who get the reports about a domain; raises `NoAnswer` when DNS cannot say of one."""
    chosen: dict[str, Addressee] = {}
    for found in [found for found in map(parse, uris) if found is not None][:MAX_ADDRESSEES]:
        taken = found if _is_near(found.domain, domain) else _invited(domain, found, texts)
        if taken is not None:
            chosen.setdefault(taken.address, taken)
    return list(chosen.values())


def choose_known(domain: str, uris: Iterable[str], texts: Texts) -> list[Addressee]:
    """Pick those of whom DNS can say it now."""
    chosen = []
    for uri in list(uris)[:MAX_ADDRESSEES]:
        try:
            chosen += choose(domain, [uri], texts)
        except NoAnswer:
            continue
    return chosen


def _is_near(host: str, domain: str) -> bool:
    return dmarc.organizational(host) == dmarc.organizational(domain)


def _invited(domain: str, found: Addressee, texts: Texts) -> Addressee | None:
    """Ask the other domain whether it wants reports about this one; it may name another address of its own instead."""
    records = [text for text in texts(f"{domain}._report._dmarc.{found.domain}") if _VERSION.match(text)]
    if not records:
        return None
    try:
        uris = {name.lower(): value for name, value in dkim.tags(records[0].encode()).items()}.get("rua", "")
    except ValueError:
        return found
    instead = [other for other in map(parse, uris.split(",")) if other is not None and other.domain == found.domain]
    return instead[0] if instead else found
