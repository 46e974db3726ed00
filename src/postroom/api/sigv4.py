"""AWS Signature Version 4 in its header form, from the side of the one who checks.

`read` takes the claim out of the headers and refuses what cannot be checked; `check` then needs the secret that belongs to the claimed
key, rebuilds what the client must have signed and compares.  The hash of the body is always computed here, never believed.  The signing
key is good for a day and costs four HMACs, so it is cached.

The codes and texts are those of AWS's JSON services, for people paste them into search engines.

AWS: "Create a signed AWS API request"
"""

from __future__ import annotations

import calendar
import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256

from postroom.api.errors import Refusal

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
SKEW_SECONDS = 300
LONGEST_AUTHORIZATION = 4096

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signed request says about its signature; `moment` is in epoch seconds, `timestamp` the same in ISO 8601 basic form."""

    key_id: str
    date: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str
    timestamp: str
    moment: float
    token: str | None


@dataclass(frozen=True, slots=True)
class Signed:
    """The request that the signature covers; names of headers in lower case, equal names joined, values trimmed."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


def fold(headers: Headers) -> dict[str, str]:
    """Join headers of one name and trim their values, as the canonical form wants them."""
    folded: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1").lower()
        value = raw_value.decode("latin-1").strip()
        if "  " in value:
            value = " ".join(value.split())
        folded[name] = f"{folded[name]},{value}" if name in folded else value
    return folded


def read(headers: dict[str, str]) -> Claim:
    """Read the Authorization header and what belongs to it, or refuse the request."""
    text = headers.get("authorization")
    if not text:
        raise Refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
    fields = _fields(text, headers)
    scope = fields["Credential"].split("/")
    if len(scope) != 5:
        raise Refusal(
            "IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term."
        )
    signed = tuple(fields["SignedHeaders"].split(";"))
    _require_signed(signed, headers)
    timestamp, moment = _moment(headers)
    key_id, date, region, service, terminator = scope
    if terminator != TERMINATOR:
        raise _mismatch(f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'.")
    if date != timestamp[:8]:
        raise _mismatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{date}' != '{timestamp[:8]}', from '{timestamp}'."
        )
    token = headers.get("x-amz-security-token")
    return Claim(key_id, date, region, service, signed, fields["Signature"], timestamp, moment, token)


def check_scope(claim: Claim, *, region: str, service: str, now: float) -> None:
    """Refuse a claim made for another region or service, or at another time (epoch seconds)."""
    if claim.region != region:
        raise _mismatch(f"Credential should be scoped to a valid region, not '{claim.region}'. ")
    if claim.service != service:
        raise _mismatch(f"Credential should be scoped to correct service: '{service}'. ")
    if claim.moment < now - SKEW_SECONDS:
        raise _mismatch(f"Signature expired: {claim.timestamp} is now earlier than {_iso(now - SKEW_SECONDS)} ({_iso(now)} - 5 min.)")
    if claim.moment > now + SKEW_SECONDS:
        raise _mismatch(
            f"Signature not yet current: {claim.timestamp} is still later than {_iso(now + SKEW_SECONDS)} ({_iso(now)} + 5 min.)"
        )


def check(claim: Claim, request: Signed, secret: str) -> None:
    """Refuse a request whose signature was not made with this secret; takes the same time wherever they differ."""
    if not hmac.compare_digest(signature(claim, request, secret).encode(), claim.signature.encode("latin-1", "replace")):
        raise _mismatch(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
        )


def signature(claim: Claim, request: Signed, secret: str) -> str:
    """Compute the signature that the claim ought to carry, in hex."""
    headers = request.headers
    lines = "\n".join([f"{name}:{headers.get(name, '')}" for name in claim.signed])
    canonical = (
        f"{request.method}\n{request.path}\n{request.query}\n{lines}\n\n{';'.join(claim.signed)}\n{sha256(request.body).hexdigest()}"
    )
    scope = f"{claim.date}/{claim.region}/{claim.service}/{TERMINATOR}"
    to_sign = f"{ALGORITHM}\n{claim.timestamp}\n{scope}\n{sha256(canonical.encode('latin-1')).hexdigest()}"
    return hmac.digest(signing_key(secret, claim.date, claim.region, claim.service), to_sign.encode("latin-1"), "sha256").hex()


@lru_cache(maxsize=1024)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Derive the key of a day, a region and a service."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode("latin-1"), "sha256")
    return key


def _fields(text: str, headers: dict[str, str]) -> dict[str, str]:
    algorithm, _, rest = text.partition(" ")
    if len(text) > LONGEST_AUTHORIZATION:
        raise Refusal("IncompleteSignatureException", "The Authorization header is too long.")
    if algorithm != ALGORITHM:
        raise Refusal("IncompleteSignatureException", f"Unsupported AWS 'algorithm': '{algorithm[:64]}'.")
    fields: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name in fields:
            raise Refusal(
                "IncompleteSignatureException",
                f"'{part.strip()[:64]}' not a valid key=value pair (missing equal-sign or repeated) in Authorization header.",
            )
        fields[name] = value
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not fields.get(name)
    ]
    if "x-amz-date" not in headers and "date" not in headers:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if missing:
        raise Refusal("IncompleteSignatureException", f"{' '.join(missing)} Authorization={algorithm}")
    return fields


def _require_signed(signed: tuple[str, ...], headers: dict[str, str]) -> None:
    if len(set(signed)) != len(signed):
        raise _mismatch("A header is named twice in the 'SignedHeaders' of the AWS Authorization.")
    for name, shown in _MUST_BE_SIGNED:
        if name not in signed and name in headers:
            raise _mismatch(f"'{shown}' must be a 'SignedHeader' in the AWS Authorization.")
    if "host" not in signed:
        raise _mismatch("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    if "x-amz-date" not in headers and "date" not in signed:
        raise _mismatch("'Date' must be a 'SignedHeader' in the AWS Authorization.")


_MUST_BE_SIGNED = (
    ("host", "Host"),
    ("x-amz-date", "X-Amz-Date"),
    ("x-amz-target", "X-Amz-Target"),
    ("x-amz-security-token", "X-Amz-Security-Token"),
)


def _moment(headers: dict[str, str]) -> tuple[str, float]:
    """Read the time of signing from X-Amz-Date, else from Date in either of its forms."""
    text = headers.get("x-amz-date") or headers["date"]
    try:
        return text, _from_iso(text)
    except ValueError:
        pass
    try:
        if "x-amz-date" not in headers:
            moment = parsedate_to_datetime(text).timestamp()
            return _iso(moment), moment
    except (ValueError, TypeError, OverflowError):
        pass
    raise Refusal(
        "IncompleteSignatureException",
        f"Date must be in ISO-8601 'basic format'. Got '{text[:64]}'. See https://en.wikipedia.org/wiki/ISO_8601",
    )


@lru_cache(maxsize=64)
def _from_iso(text: str) -> float:
    if len(text) != 16 or not text.isascii():
        raise ValueError(text)
    return float(calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ")))


def _iso(moment: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))


def _mismatch(text: str) -> Refusal:
    return Refusal("InvalidSignatureException", text)
