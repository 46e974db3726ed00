"""Signs what leaves under the name of a mail domain of ours, so that others can see that it comes from there (RFC 6376, RFC 8463).

What a reader sees is signed so that nothing can be added to it: each of the fields that are shown is named once more than it is there
(RFC 6376 §8.15), and the body is signed to its end. The form is relaxed, which survives what servers on the way do to blanks and folds.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from postroom.formats import addresses as address_lists
from postroom.formats import dkim, headers
from postroom.formats.dkim import Fields
from postroom.model import errors
from postroom.model.addresses import domain_key

CLOSED = (
    b"from",
    b"to",
    b"cc",
    b"subject",
    b"date",
    b"reply-to",
    b"message-id",
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
    b"content-disposition",
    b"content-id",
)
"""Fields that nobody may add to what is signed."""
OPEN = (b"sender", b"in-reply-to", b"references", b"list-id", b"list-post", b"list-unsubscribe", b"list-unsubscribe-post")
"""Fields that are signed where they are there."""
MOST = 5
"""Fields of one name that are signed."""
_LONE = re.compile(rb"(?<!\r)\n|\r(?!\n)")

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A private key and the selector under which its public half stands; `mark` tells it from every other."""

    selector: str
    key: PrivateKey
    mark: bytes

    @property
    def algorithm(self) -> str:
        """Its name in a="""
        return "rsa-sha256" if isinstance(self.key, rsa.RSAPrivateKey) else "ed25519-sha256"

    def sign(self, signed: bytes) -> bytes:
        """Sign; an Ed25519 key signs the hash (RFC 8463 §3)."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(hashlib.sha256(signed).digest())


def load(selector: str, private: bytes) -> Key:
    """Load a key of ours, PKCS#8 in DER; raises `ValueError`."""
    key = load_der_private_key(private, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise ValueError("a key of another kind")
    return Key(selector, key, hashlib.sha256(private).digest())


def author_domain(raw: bytes) -> str:
    """Give the A-labels of the domain in the only From line of a message; '' where there is none that can be signed for."""
    values = headers.find_all(raw, "From")
    authors = address_lists.parse(values[0]) if len(values) == 1 else []
    named = [author.domain for author in authors if author.local and author.domain]
    try:
        return domain_key(named[0].decode()) if named else ""
    except (errors.InvalidParameter, UnicodeDecodeError):
        return ""


def even(raw: bytes) -> bytes:
    """Give a message the line ends that it will have on the wire."""
    return raw if raw.count(b"\r\n") == raw.count(b"\r") == raw.count(b"\n") else _LONE.sub(b"\r\n", raw)


@dataclass(frozen=True, slots=True)
class Covered:
    """What a signature is over: the names of the fields, their octets, and the hash of the body, in base64."""

    names: Sequence[bytes]
    header: bytes
    digest: str


def fields(raw: bytes, domain: str, keys: Sequence[Key], now: float) -> bytes:
    """Sign a message with `even` lines for a domain; gives the fields that are to stand before it, one by each key."""
    over = covered(*dkim.split(raw))
    return b"".join(_field(key, f"d={domain}; s={key.selector};\r\n\tt={int(now)}", over) for key in keys)


def covered(found: Fields, body: bytes, also: Sequence[bytes] = ()) -> Covered:
    """Choose what of a message is signed; fields of the names `also`, too."""
    names = [*_counted(found, CLOSED, 1), *_counted(found, (*OPEN, *also), 0)]
    header = b"".join([dkim.relaxed_header(_ended(field)) for field in dkim.choose(found, names)])
    return Covered(names, header, base64.b64encode(hashlib.sha256(dkim.relaxed_body(body)).digest()).decode())


def signature(start: str, key: Key, over: Covered) -> bytes:
    """Write a signature that begins so."""
    text = f"{start};\r\n\th={folded_names(over.names)};\r\n\tbh={over.digest};\r\n\tb="
    made = key.sign(over.header + dkim.relaxed_header(text.encode()))
    return f"{text}{folded(base64.b64encode(made).decode())}\r\n".encode()


def folded(text: str) -> str:
    """Break base64 into lines."""
    return "\r\n\t ".join(text[at : at + 72] for at in range(0, len(text), 72))


def folded_names(names: Sequence[bytes]) -> str:
    """Write the list of h= on lines that are not too long."""
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) > 70:
            lines.append("")
        lines[-1] += f"{name.decode()}:"
    return "\r\n\t ".join(lines).removesuffix(":")


def _field(key: Key, place: str, over: Covered) -> bytes:
    return signature(f"DKIM-Signature: v=1; a={key.algorithm}; c=relaxed/relaxed;\r\n\t{place}", key, over)


def _counted(found: Fields, names: Sequence[bytes], more: int) -> Iterator[bytes]:
    for name in names:
        yield from [name] * (min(len(found.get(name, ())), MOST) + more)


def _ended(field: bytes) -> bytes:
    """Give a field its line end: the last of a message without a body may lack it, and gets it on the wire."""
    return field if field.endswith(b"\r\n") else field + b"\r\n"
