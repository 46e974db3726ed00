"""AWS Signature Version 4 in its header form, from the side of the one who checks.

`read` takes the claim out of the headers and refuses what cannot be checked; `check` then needs the secret that belongs to the claimed
key, rebuilds what the client must have signed and compares.  The hash of the body is always computed here, never believed.  The signing
key is good for a day and costs four HMACs, so it is cached.

The codes and texts are those of AWS's JSON services, for people paste them into search engines.

AWS: "Create a signed AWS API request"
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

from postroom.api.errors import Refusal

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
SKEW_SECONDS = 300
LONGEST_AUTHORIZATION = 4096

Headers = Mapping[bytes, bytes]
"""Header names in lower case; the values of equal names joined by a comma."""


@dataclass(frozen=True, slots=True)
class Credential:
    """The scope a signature was made for, and which headers it covers."""

    key_id: str
    date: str
    region: str
    service: str
    signed: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signed request says about its signature; `moment` is in epoch seconds, `timestamp` the same in ISO 8601 basic form."""

    credential: Credential
    signature: bytes
    timestamp: str
    moment: float
    token: str | None


def fold(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Join the values of headers that occur more than once; names are in lower case already."""
    folded = dict(headers)
    if len(folded) < len(headers):
        folded = {}
        for name, value in headers:
            folded[name] = folded[name] + b"," + value.strip() if name in folded else value.strip()
    return folded


def service_named(headers: Headers) -> bytes:
    """Name the service in the credential scope, wherever it is from; empty where there is none."""
    parts = headers.get(b"authorization", b"").split(b"/", 4)
    return parts[3] if len(parts) == 5 else b""


def read(headers: Headers) -> Claim:
    """Read the Authorization header and what belongs to it, or refuse the request."""
    text = headers.get(b"authorization", b"")
    if not text:
        raise Refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
    found = _USUAL.fullmatch(text) if len(text) <= LONGEST_AUTHORIZATION else None
    scope, signed, signature = found.groups() if found is not None else _fields(text)
    credential = _credential(scope, signed)
    _require_signed(credential.signed, headers)
    timestamp, moment = _moment(headers)
    if credential.date != timestamp[:8]:
        raise _mismatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{credential.date}' != '{timestamp[:8]}', from '{timestamp}'."
        )
    token = headers.get(b"x-amz-security-token")
    return Claim(credential, signature, timestamp, moment, None if token is None else token.decode("latin-1"))


def check_scope(claim: Claim, *, region: str, service: str, now: float) -> None:
    """Refuse a claim made for another region or service, or at another time (epoch seconds)."""
    credential = claim.credential
    if credential.region != region:
        raise _mismatch(f"Credential should be scoped to a valid region, not '{credential.region}'. ")
    if credential.service != service:
        raise _mismatch(f"Credential should be scoped to correct service: '{service}'. ")
    if claim.moment < now - SKEW_SECONDS:
        raise _mismatch(f"Signature expired: {claim.timestamp} is now earlier than {_iso(now - SKEW_SECONDS)} ({_iso(now)} - 5 min.)")
    if claim.moment > now + SKEW_SECONDS:
        raise _mismatch(
            f"Signature not yet current: {claim.timestamp} is still later than {_iso(now + SKEW_SECONDS)} ({_iso(now)} + 5 min.)"
        )


def check(claim: Claim, secret: str, *, method: str, path: str, query: str, headers: Headers, body: bytes) -> None:
    """Refuse a request whose signature was not made with this secret; takes the same time wherever they differ."""
    credential = claim.credential
    lines = b"".join([b"%b:%b\n" % (name, _trimmed(headers.get(name, b""))) for name in credential.signed])
    hashed = sha256(body).hexdigest().encode()
    canonical = b"%b\n%b\n%b\n" % (method.encode("latin-1"), _encoded_again(path), query.encode("latin-1"))
    canonical += b"%b\n%b\n%b" % (lines, b";".join(credential.signed), hashed)
    scope = f"{credential.date}/{credential.region}/{credential.service}/{TERMINATOR}"
    to_sign = f"{ALGORITHM}\n{claim.timestamp}\n{scope}\n{sha256(canonical).hexdigest()}".encode("latin-1")
    key = signing_key(secret, credential.date, credential.region, credential.service)
    if not hmac.compare_digest(hmac.digest(key, to_sign, "sha256").hex().encode(), claim.signature):
        raise _mismatch(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
        )


@lru_cache(maxsize=1024)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Derive the key of a day, a region and a service."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode("latin-1"), "sha256")
    return key


_USUAL = re.compile(rb"AWS4-HMAC-SHA256 Credential=([^, ]+), ?SignedHeaders=([^, ]+), ?Signature=([^, ]+)")
"""The header as every SDK writes it; any other order or spacing is read field by field."""


@lru_cache(maxsize=1024)
def _credential(scope: bytes, signed: bytes) -> Credential:
    """Read what a client says in every request of a day."""
    parts = scope.decode("latin-1").split("/")
    if len(parts) != 5:
        raise Refusal(
            "IncompleteSignatureException",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
        )
    key_id, date, region, service, terminator = parts
    if terminator != TERMINATOR:
        raise _mismatch(f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'.")
    names = tuple(signed.split(b";"))
    if len(set(names)) != len(names):
        raise _mismatch("A header is named twice in the 'SignedHeaders' of the AWS Authorization.")
    return Credential(key_id, date, region, service, names)


_FIELDS = ("Credential", "Signature", "SignedHeaders")


def _fields(text: bytes) -> tuple[bytes, bytes, bytes]:
    """Read the Authorization header field by field; raises `Refusal` with everything that is missing."""
    algorithm, _, rest = text.decode("latin-1").partition(" ")
    if len(text) > LONGEST_AUTHORIZATION:
        raise Refusal("IncompleteSignatureException", "The Authorization header is too long.")
    if algorithm != ALGORITHM:
        raise Refusal("IncompleteSignatureException", f"Unsupported AWS 'algorithm': '{algorithm[:64]}'.")
    fields: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name in fields or name not in _FIELDS:
            shown = part.strip()[:64]
            raise Refusal("IncompleteSignatureException", f"'{shown}' not a valid key=value pair in Authorization header.")
        fields[name] = value
    missing = [f"Authorization header requires '{name}' parameter." for name in _FIELDS if not fields.get(name)]
    if missing:
        raise Refusal("IncompleteSignatureException", f"{' '.join(missing)} Authorization={algorithm}")
    return fields["Credential"].encode("latin-1"), fields["SignedHeaders"].encode("latin-1"), fields["Signature"].encode("latin-1")


def _require_signed(signed: tuple[bytes, ...], headers: Headers) -> None:
    """Refuse a signature that leaves out a header on which the request's meaning hangs."""
    for name, shown in _MUST_BE_SIGNED:
        if name in headers and name not in signed:
            raise _mismatch(f"'{shown}' must be a 'SignedHeader' in the AWS Authorization.")
    if b"host" not in signed:
        raise _mismatch("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    if b"x-amz-date" not in headers and b"date" in headers and b"date" not in signed:
        raise _mismatch("'Date' must be a 'SignedHeader' in the AWS Authorization.")


_MUST_BE_SIGNED = (
    (b"x-amz-date", "X-Amz-Date"),
    (b"x-amz-target", "X-Amz-Target"),
    (b"x-amz-security-token", "X-Amz-Security-Token"),
)


def _moment(headers: Headers) -> tuple[str, float]:
    """Read the time of signing from X-Amz-Date, else from Date in either of its forms."""
    exact = headers.get(b"x-amz-date")
    text = (headers.get(b"date", b"") if exact is None else exact).decode("latin-1")
    if not text:
        raise Refusal(
            "IncompleteSignatureException",
            f"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization={ALGORITHM}",
        )
    try:
        return text, _from_iso(text)
    except ValueError:
        pass
    try:
        if exact is None:
            moment = parsedate_to_datetime(text).timestamp()
            return _iso(moment), moment
    except (ValueError, TypeError, OverflowError):
        pass
    raise Refusal(
        "IncompleteSignatureException",
        f"Date must be in ISO-8601 'basic format'. Got '{text[:64]}'. See https://en.wikipedia.org/wiki/ISO_8601",
    )


def _from_iso(text: str) -> float:
    """Read a time; strptime takes far longer, and without the pattern other forms of ISO 8601 would do."""
    if not _ISO.match(text):
        raise ValueError(text)
    return datetime.fromisoformat(text).timestamp()


_ISO = re.compile(r"(?a)\d{8}T\d{6}Z\Z")


def _iso(moment: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))


def _encoded_again(path: str) -> bytes:
    """Encode a path that is encoded already, as all services but S3 sign it."""
    return b"/" if path == "/" else quote(path.encode("latin-1"), safe="/~").encode()


def _trimmed(value: bytes) -> bytes:
    return b" ".join(value.split()) if b"  " in value else value.strip()


def _mismatch(text: str) -> Refusal:
    return Refusal("InvalidSignatureException", text)
