"""DKIM: whose domains have signed a letter, and whether it is as they signed it (RFC 6376 §6, RFC 8463, RFC 8301).

A signature that does not cover the whole body, or is made with a key too short, is `policy`: it may be right, but it says nothing about
what the reader sees.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from postroom.formats import dkim
from postroom.formats.dkim import Fields
from postroom.mailflow.assessment import Result, Signature
from postroom.mailflow.authentication.questions import Check, Query
from postroom.mailflow.resolver import NoAnswer, NoSuchName

MAX_SIGNATURES = 10
"""Signatures of a letter that are looked at."""
MAX_NAMES = 250
"""Names in an h= that are read."""
MAX_RECORDS = 3
"""Key records under one name that are tried."""
MINIMUM_BITS = 1024
"""RSA keys below it are not believed (RFC 8301 §3.2)."""
MAXIMUM_BITS = 8192
ALGORITHMS = ("rsa-sha256", "ed25519-sha256")
_DOMAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_REQUIRED = ("v", "a", "b", "bh", "d", "h", "s")
_BODIES: Mapping[str, Callable[[bytes], bytes]] = {"simple": dkim.simple_body, "relaxed": dkim.relaxed_body}
_HEADERS: Mapping[str, Callable[[bytes], bytes]] = {"simple": dkim.simple_header, "relaxed": dkim.relaxed_header}

PublicKey = rsa.RSAPublicKey | ed25519.Ed25519PublicKey


class Fault(Exception):
    """Why a signature does not count, and what that comes to."""

    def __init__(self, result: Result, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signature says, read and found to make sense."""

    tags: Mapping[str, str]
    algorithm: str
    domain: str
    selector: str
    identity: str
    header: Callable[[bytes], bytes]
    body: Callable[[bytes], bytes]
    names: tuple[bytes, ...]
    length: int | None

    @property
    def names_itself(self) -> tuple[str, str, str, str]:
        """Give domain, selector, identity and algorithm."""
        return self.domain, self.selector, self.identity, self.algorithm


class Letter:
    """A letter to be checked: its fields and its body, whose canonical forms are hashed once each."""

    __slots__ = ("_hashes", "body", "fields")

    def __init__(self, raw: bytes) -> None:
        self.fields: Fields
        self.fields, self.body = dkim.split(raw)
        self._hashes: dict[tuple[Callable[[bytes], bytes], int | None], tuple[bytes, int]] = {}

    def hash(self, form: Callable[[bytes], bytes], length: int | None) -> tuple[bytes, int]:
        """Give the SHA-256 of so much of the body in a canonical form, and how long that form is."""
        known = self._hashes.get((form, length))
        if known is None:
            body = form(self.body)
            cut = body if length is None else body[:length]
            known = self._hashes[form, length] = hashlib.sha256(cut).digest(), len(body)
        return known


def verify(letter: Letter, now: float) -> Check[tuple[Signature, ...]]:
    """Check the first signatures of a letter, at a time in epoch seconds."""
    results = []
    for field in letter.fields.get(b"dkim-signature", ())[:MAX_SIGNATURES]:
        results.append((yield from _verify(letter, field, now)))
    return tuple(results)


def _verify(letter: Letter, field: bytes, now: float) -> Check[Signature]:
    claim: Claim | None = None
    try:
        tags = _tags(field)
        if tags.get("v") != "1":
            raise Fault(Result.PERMERROR, "version")
        claim = read(tags, _REQUIRED, now)
        if b"from" not in claim.names:
            raise Fault(Result.PERMERROR, "From is not signed")
        yield from check(letter, field, claim)
    except Fault as fault:
        return Signature(fault.result, *(_names(field) if claim is None else claim.names_itself), fault.reason)
    return Signature(Result.PASS, *claim.names_itself)


def read(tags: Mapping[str, str], required: tuple[str, ...], now: float) -> Claim:
    """Read what a signature says; raises `Fault`."""
    missing = [name for name in required if not tags.get(name)]
    if missing:
        raise Fault(Result.PERMERROR, f"no {missing[0]}=")
    algorithm, domain, selector = tags["a"].lower(), tags["d"].lower(), tags["s"].lower()
    if algorithm not in ALGORITHMS:
        raise Fault(Result.PERMERROR, "rsa-sha1 proves nothing" if algorithm == "rsa-sha1" else "unknown algorithm")
    if not _DOMAIN.fullmatch(domain) or not _DOMAIN.fullmatch(f"{selector}.x"):
        raise Fault(Result.PERMERROR, "no domain")
    identity = tags.get("i", f"@{domain}")
    behind = identity.rpartition("@")[2].lower()
    if behind != domain and not behind.endswith("." + domain):
        raise Fault(Result.PERMERROR, "i= is not within d=")
    header, _, body = tags.get("c", "simple/simple").partition("/")
    if header not in _HEADERS or (body or "simple") not in _BODIES:
        raise Fault(Result.PERMERROR, "unknown canonical form")
    if "dns/txt" not in dkim.compact(tags.get("q", "dns/txt")).split(":"):
        raise Fault(Result.PERMERROR, "unknown way to the key")
    _check_times(tags, now)
    names = tuple(name.strip().lower().encode() for name in tags["h"].split(":", MAX_NAMES))
    if len(names) > MAX_NAMES:
        raise Fault(Result.PERMERROR, "too many fields")
    length = _number(tags, "l")
    return Claim(tags, algorithm, domain, selector, identity, _HEADERS[header], _BODIES[body or "simple"], names, length)


def check(letter: Letter, field: bytes, claim: Claim) -> Check[None]:
    """Check a signature by its key; raises `Fault`."""
    digest, length = letter.hash(claim.body, claim.length)
    if claim.length is not None and claim.length > length:
        raise Fault(Result.PERMERROR, "l= is longer than the body")
    if digest != _decoded(claim.tags["bh"]):
        raise Fault(Result.FAIL, "the body has changed")
    signed = signed_header(letter.fields, field, claim)
    yield from check_signature(claim, signed)
    if claim.length is not None and claim.length < length:
        raise Fault(Result.POLICY, "not all of the body is signed")


def signed_header(found: Fields, field: bytes, claim: Claim) -> bytes:
    """Give the octets that the signature is over."""
    chosen = dkim.choose({**found, **_others(found, field)}, claim.names)
    return b"".join([claim.header(one) for one in chosen]) + claim.header(dkim.without_signature(field))


def check_signature(claim: Claim, signed: bytes) -> Check[None]:
    """Ask for the key and check by it; raises `Fault`."""
    texts = yield from _records(claim)
    fault: Fault | None = None
    for text in texts[:MAX_RECORDS]:
        try:
            _check_by(_key(text, claim), claim, signed)
        except Fault as found:
            fault = fault or found
        else:
            return
    raise fault or Fault(Result.PERMERROR, "no key")


def _others(found: Fields, field: bytes) -> Fields:
    """Leave the signature itself out of the fields of its name, where it may sign others."""
    name = field.partition(b":")[0].rstrip(b" \t").lower()
    values = list(found.get(name, ()))
    if field in values:
        values.remove(field)
    return {name: values}


def _records(claim: Claim) -> Check[list[str]]:
    try:
        return (yield Query("TXT", f"{claim.selector}._domainkey.{claim.domain}"))
    except NoSuchName:
        raise Fault(Result.PERMERROR, "no key") from None
    except NoAnswer:
        raise Fault(Result.TEMPERROR, "the key cannot be asked for") from None


def _key(text: str, claim: Claim) -> PublicKey:
    try:
        record = dkim.tags(text.encode())
    except ValueError:
        raise Fault(Result.PERMERROR, "the key cannot be read") from None
    kind, _, hashing = claim.algorithm.partition("-")
    if record.get("v", "DKIM1") != "DKIM1" or "p" not in record:
        raise Fault(Result.PERMERROR, "no key")
    if not record["p"]:
        raise Fault(Result.PERMERROR, "the key has been revoked")
    if record.get("k", "rsa").lower() != kind:
        raise Fault(Result.PERMERROR, "the key is of another kind")
    if "h" in record and hashing not in dkim.compact(record["h"]).lower().split(":"):
        raise Fault(Result.PERMERROR, "the key is not for this hash")
    if not {"*", "email"} & set(dkim.compact(record.get("s", "*")).lower().split(":")):
        raise Fault(Result.PERMERROR, "the key is not for mail")
    if "s" in dkim.compact(record.get("t", "")).lower().split(":") and claim.identity.rpartition("@")[2].lower() != claim.domain:
        raise Fault(Result.PERMERROR, "the key is not for subdomains")
    key = _load(kind, record["p"])
    if key is None:
        raise Fault(Result.PERMERROR, "the key cannot be read")
    return key


@lru_cache(maxsize=512)
def _load(kind: str, text: str) -> PublicKey | None:
    try:
        octets = base64.b64decode(dkim.compact(text), validate=True)
        key = ed25519.Ed25519PublicKey.from_public_bytes(octets) if kind == "ed25519" and len(octets) == 32 else load_der_public_key(octets)
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error):
        return None
    if kind == "ed25519":
        return key if isinstance(key, ed25519.Ed25519PublicKey) else None
    return key if isinstance(key, rsa.RSAPublicKey) and key.key_size <= MAXIMUM_BITS else None


def _check_by(key: PublicKey, claim: Claim, signed: bytes) -> None:
    signature = _decoded(claim.tags["b"])
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signature, hashlib.sha256(signed).digest())
    except InvalidSignature:
        raise Fault(Result.FAIL, "the signature does not match") from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MINIMUM_BITS:
        raise Fault(Result.POLICY, f"a key of {key.key_size} bits")


def _check_times(tags: Mapping[str, str], now: float) -> None:
    signed_at, expires_at = _number(tags, "t"), _number(tags, "x")
    if expires_at is None:
        return
    if signed_at is not None and expires_at <= signed_at:
        raise Fault(Result.PERMERROR, "it ended before it began")
    if expires_at < now:
        raise Fault(Result.POLICY, "expired")


def _number(tags: Mapping[str, str], name: str) -> int | None:
    text = tags.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,76}", text, re.ASCII):
        raise Fault(Result.PERMERROR, f"{name}= is no number")
    return int(text)


def _tags(field: bytes) -> dict[str, str]:
    try:
        return dkim.tags(field.partition(b":")[2])
    except ValueError as error:
        raise Fault(Result.PERMERROR, str(error)) from None


def _names(field: bytes) -> tuple[str, str, str, str]:
    """Read what a signature that makes no sense calls itself, as far as that can be told on."""
    try:
        tags = dkim.tags(field.partition(b":")[2])
    except ValueError:
        return "", "", "", ""
    domain, selector, algorithm = [tags.get(name, "").lower() for name in ("d", "s", "a")]
    known = _DOMAIN.fullmatch(domain) is not None
    return (
        domain if known else "",
        selector if known and _DOMAIN.fullmatch(f"{selector}.x") else "",
        "",
        algorithm if re.fullmatch(r"[a-z0-9-]{1,40}", algorithm) else "",
    )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(dkim.compact(text), validate=True)
    except (ValueError, binascii.Error):
        raise Fault(Result.PERMERROR, "no base64") from None
