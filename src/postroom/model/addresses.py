"""Mail addresses: parsed once, compared by one key.

Domains compare by their A-label form in lower case. Local parts are case-sensitive by RFC 5321, but no
hosted mailbox differs from another by case alone, so the key folds them too.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import idna

from postroom.model import errors

MAX_LOCAL = 64
MAX_DOMAIN = 255
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]"
_DOT_ATOM = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*\Z")
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"\Z')
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")


@dataclass(frozen=True, slots=True)
class Address:
    """An address as it was written; `str()` gives it back."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def key(self) -> str:
        """The form in which addresses are compared and stored for look-up."""
        return f"{self.local.casefold()}@{domain_key(self.domain)}"


@lru_cache(maxsize=4096)
def domain_key(domain: str) -> str:
    """Give the A-label form of a domain in lower case; raises `InvalidParameter` (RFC 5890 §2.3.2.1)."""
    name = domain.rstrip(".").lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise errors.InvalidParameter(f"{domain} is not a domain name.") from None
    if not name or len(name) > MAX_DOMAIN or not all(_LABEL.match(label) for label in name.split(".")):
        raise errors.InvalidParameter(f"{domain} is not a domain name.")
    return name


def parse(text: str) -> Address:
    """Read an addr-spec; raises `InvalidParameter` (RFC 5321 §4.1.2, RFC 6531 §3.3)."""
    local, at, domain = text.rpartition("@")
    shaped = _DOT_ATOM.match(local) or _QUOTED.match(local)
    if not at or not shaped or len(local.encode()) > MAX_LOCAL:
        raise errors.InvalidParameter(f"{text[:320]} is not an e-mail address.")
    domain_key(domain)
    return Address(local, domain)
