"""Whether a server's certificates are those that its TLSA records name (DANE for SMTP, RFC 7672).

Of the four usages SMTP knows two: DANE-EE (3) names the server's own certificate or key, whatever name and dates it
bears, and DANE-TA (2) an authority above it, under which name and dates count. Records of another usage, or that make
no sense, are unusable: where all are, the connection must be encrypted, but by anyone (§2.2).

An authority may have several certificates for one key, signed by others and out of date some of them, so every way up
is walked until one will do. A record that holds the authority itself, not its digest, proves it though the server does
not show it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from postroom.mailflow.outbound.tls_outcome import Result
from postroom.mailflow.tlsa import AUTHORITY, END_ENTITY, Tlsa

LONGEST_CHAIN = 10
"""Certificates looked at of those a server shows."""
MOST_RECORDS = 32
"""TLSA records looked at of one server."""
_MOST_PATHS = 100
_UNREADABLE = (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm)
Path = tuple[x509.Certificate, ...]


def usable(records: Iterable[Tlsa]) -> list[Tlsa]:
    """List the records that count."""
    return list(islice((record for record in records if record.usable), MOST_RECORDS))


def judge(records: Sequence[Tlsa], chain: Sequence[bytes], names: Sequence[str], now: datetime) -> Result:
    """Judge the chain a server showed, its own certificate first, by usable records; empty when one of them fits.

    `names` are those the certificate may bear: the host's, and the domain's whose mail it takes (RFC 7672 §3.2.2).
    """
    own = _read(chain[0]) if chain else None
    if any(_fits(record, chain[0], own) for record in records if record.usage == END_ENTITY and chain):
        return ""
    anchors = [record for record in records if record.usage == AUTHORITY]
    if own is None or not anchors:
        return "validation-failure"
    try:
        return _under_authority(anchors, own, chain[1:LONGEST_CHAIN], names, now)
    except _UNREADABLE:
        return "validation-failure"


def _under_authority(anchors: Sequence[Tlsa], own: x509.Certificate, above: Sequence[bytes], names: Sequence[str], now: datetime) -> Result:
    """Walk every way from the server's certificate up to an authority that a record names, until all of one is in date."""
    held = [record.data for record in anchors if record.matching == 0 and record.selector == 0]
    issuers = [certificate for certificate in map(_read, [*above, *held]) if certificate is not None]
    result: Result = "certificate-not-trusted"
    for path in islice(_paths((own,), issuers), _MOST_PATHS):
        if not any(_anchored(anchor, path) for anchor in anchors):
            continue
        if all(one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in path):
            return "" if any(_bears(own, name) for name in names) else "certificate-host-mismatch"
        result = "certificate-expired"
    return result


def _paths(path: Path, issuers: Sequence[x509.Certificate]) -> Iterator[Path]:
    """Give a path and all that go on from it, one issuer further at a time."""
    yield path
    for issuer in issuers:
        if issuer not in path and _issued(issuer, path[-1], len(path) - 1):
            yield from _paths((*path, issuer), issuers)


def _anchored(anchor: Tlsa, path: Path) -> bool:
    """Say whether a record names the last of a path, or holds the key that signed it."""
    if _fits(anchor, path[-1].public_bytes(Encoding.DER), path[-1]):
        return True
    return anchor.matching == 0 and anchor.selector == 1 and _signed(path[-1], anchor.data)


def _signed(certificate: x509.Certificate, spki: bytes) -> bool:
    """Say whether a bare key signed a certificate."""
    try:
        key, how = load_der_public_key(spki), certificate.signature_algorithm_parameters
        signature, content, digest = certificate.signature, certificate.tbs_certificate_bytes, certificate.signature_hash_algorithm
        if isinstance(key, rsa.RSAPublicKey) and digest is not None:
            key.verify(signature, content, how, digest)  # type: ignore[arg-type]
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, content, how)  # type: ignore[arg-type]
        else:
            return False
    except _UNREADABLE:
        return False
    return True


def _issued(issuer: x509.Certificate, subject: x509.Certificate, between: int) -> bool:
    """Say whether one certificate is signed by another that may sign, `between` being the authorities below it."""
    try:
        rights = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        subject.verify_directly_issued_by(issuer)
    except (*_UNREADABLE, x509.ExtensionNotFound):
        return False
    return rights.ca and (rights.path_length is None or between <= rights.path_length) and _may_sign(issuer)


def _may_sign(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def _read(der: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(der)
    except _UNREADABLE:
        return None


def _fits(record: Tlsa, der: bytes, certificate: x509.Certificate | None) -> bool:
    """Say whether a record names a certificate, whole or by its key, which one that cannot be read does not give."""
    data = der if record.selector == 0 else _key(certificate)
    kinds = {1: hashlib.sha256, 2: hashlib.sha512}
    return data is not None and record.data == (kinds[record.matching](data).digest() if record.matching else data)


def _key(certificate: x509.Certificate | None) -> bytes | None:
    try:
        return None if certificate is None else certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except _UNREADABLE:
        return None


def _bears(certificate: x509.Certificate, name: str) -> bool:
    """Say whether a certificate is for a name; a star stands for one label, the first."""
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    wanted = name.lower().rstrip(".")
    patterns = {pattern.lower() for pattern in alternatives.get_values_for_type(x509.DNSName)}
    parent = wanted.partition(".")[2]
    return wanted in patterns or ("." in parent and f"*.{parent}" in patterns)
