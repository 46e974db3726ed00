"""Whether a server's certificates are those that its TLSA records name (DANE for SMTP, RFC 7672).

Of the four usages SMTP knows two: DANE-EE (3) names the server's own certificate or key, whatever name and dates it
bears, and DANE-TA (2) an authority in the chain the server shows, under which name and dates count. Records of another
usage, or that make no sense, are unusable: where all are, the connection must be encrypted, but by anyone (§2.2).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from postroom.mailflow.outbound.tls_outcome import Result

LONGEST_CHAIN = 10
"""Certificates looked at of those a server shows."""
MOST_RECORDS = 32
"""TLSA records looked at of one server."""

_AUTHORITY, _END_ENTITY = 2, 3
_LENGTHS = {1: 32, 2: 64}
_UNREADABLE = (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm)


@dataclass(frozen=True, slots=True)
class Tlsa:
    """A TLSA record."""

    usage: int
    selector: int
    matching: int
    data: bytes

    @property
    def usable(self) -> bool:
        """Say whether SMTP can make use of it."""
        sized = bool(self.data) if self.matching == 0 else len(self.data) == _LENGTHS.get(self.matching)
        return self.usage in {_AUTHORITY, _END_ENTITY} and self.selector in {0, 1} and sized


def usable(records: Iterable[Tlsa]) -> list[Tlsa]:
    """List the records that count."""
    return [record for record in records if record.usable][:MOST_RECORDS]


def judge(records: Sequence[Tlsa], chain: Sequence[bytes], names: Sequence[str], now: datetime) -> Result:
    """Judge the chain a server showed, its own certificate first, by usable records; empty when one of them fits.

    `names` are those the certificate may bear: the host's, and the domain's whose mail it takes (RFC 7672 §3.2.2).
    """
    try:
        shown = [x509.load_der_x509_certificate(certificate) for certificate in chain[:LONGEST_CHAIN]]
        if not shown:
            return "validation-failure"
        if any(_fits(record, shown[0]) for record in records if record.usage == _END_ENTITY):
            return ""
        anchors = [record for record in records if record.usage == _AUTHORITY]
        return _under_authority(anchors, shown, names, now) if anchors else "validation-failure"
    except _UNREADABLE:
        return "validation-failure"


def _under_authority(anchors: Sequence[Tlsa], shown: Sequence[x509.Certificate], names: Sequence[str], now: datetime) -> Result:
    """Walk from the server's certificate up to one that a record names."""
    path = [shown[0]]
    while not any(_fits(anchor, path[-1]) for anchor in anchors):
        issuer = next((other for other in shown[1:] if other not in path and _issued(other, path[-1], len(path) - 1)), None)
        if issuer is None:
            return "certificate-not-trusted"
        path.append(issuer)
    if any(not one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in path):
        return "certificate-expired"
    return "" if any(_bears(shown[0], name) for name in names) else "certificate-host-mismatch"


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


def _fits(record: Tlsa, certificate: x509.Certificate) -> bool:
    """Say whether a record names a certificate, whole or by its key."""
    if record.selector == 0:
        data = certificate.public_bytes(Encoding.DER)
    else:
        data = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    kinds = {1: hashlib.sha256, 2: hashlib.sha512}
    return record.data == (kinds[record.matching](data).digest() if record.matching else data)


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
