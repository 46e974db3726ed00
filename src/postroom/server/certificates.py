"""Certificates: a local authority for laboratories and first starts, and the TLS contexts of all listeners.

The authority's key and certificate stand under the data folder and last ten years; the server certificate it issues lasts
397 days (what clients accept at most) and is replaced a month before its end, or when the names differ.
"""

import datetime
import fcntl
import ipaddress
import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

AUTHORITY_DAYS = 3650
SERVER_DAYS = 397
RENEW_DAYS = 30


@dataclass(frozen=True, slots=True)
class Files:
    """PEM files of a server's certificate; `authority` is empty when the administrator brought the certificate."""

    certificate: Path
    key: Path
    authority: Path | None = None


def context(files: Files) -> ssl.SSLContext:
    """Build a context for listeners: TLS 1.2 or later (RFC 8996), forward secrecy and AEAD ciphers alone.

    Raises OSError or ssl.SSLError when the files cannot be read or do not belong together.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    made.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    made.load_cert_chain(files.certificate, files.key)
    return made


def names(certificate: Path) -> list[str]:
    """List the host names that a certificate stands for, in lower case; raises OSError, ValueError."""
    from cryptography import x509

    found = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    try:
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in alternatives.get_values_for_type(x509.DNSName)]


def validity(certificate: Path) -> tuple[float, float]:
    """Give from when to when a certificate is valid, in epoch seconds; raises OSError, ValueError."""
    from cryptography import x509

    found = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    return found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()


def local(folder: Path, names: Sequence[str]) -> Files:
    """Return the local authority's certificate for these names and addresses, issuing what is missing or about to end."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority, server = Files(folder / "ca.pem", folder / "ca.key"), issued(folder)
    with _locked(folder):
        if not (authority.certificate.exists() and authority.key.exists()):
            _write(authority, *_new_authority())
            server.certificate.unlink(missing_ok=True)
        if not _good(server, names):
            _write(server, *_issue(authority, names))
    return server


def issued(folder: Path) -> Files:
    """Give the files of the local authority's certificate, which may not be there yet."""
    return Files(folder / "server.pem", folder / "server.key", folder / "ca.pem")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out, which would mix their authority's files with ours."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _good(server: Files, names: Sequence[str]) -> bool:
    """Tell whether a certificate can be used, has a while to live and stands for exactly these names."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(server.certificate.read_bytes())[0]
        context(server)
    except (OSError, ValueError):  # absent, cut off by a crash, or the key of another
        return False
    alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return found.not_valid_after_utc - _now() > datetime.timedelta(days=RENEW_DAYS) and list(alternatives) == _general_names(names)


def _general_names(names: Sequence[str]) -> "list[x509.GeneralName]":
    from cryptography import x509

    made: list[x509.GeneralName] = []
    for name in names:
        try:
            made.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            made.append(x509.DNSName(name.encode("idna").decode()))
    return made


def _new_authority() -> "tuple[list[x509.Certificate], ec.EllipticCurvePrivateKey]":
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name("Postroom local authority")
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = _builder(subject, subject, key, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(usage, critical=True)
    return [_signed(builder, key, key)], key


def _issue(authority: Files, names: Sequence[str]) -> "tuple[list[x509.Certificate], ec.EllipticCurvePrivateKey]":
    """Issue a server certificate; the authority's own follows it in the chain."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID

    signer = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    signing = load_pem_private_key(authority.key.read_bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name("Postroom"), signer.subject, key, SERVER_DAYS)
    builder = builder.add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return [_signed(builder, signing, key), signer], key


def _name(text: str) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: "x509.Name", issuer: "x509.Name", key: "ec.EllipticCurvePrivateKey", days: int) -> "x509.CertificateBuilder":
    from cryptography import x509

    start = _now() - datetime.timedelta(hours=1)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start)
    builder = builder.not_valid_after(start + datetime.timedelta(days=days))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _signed(
    builder: "x509.CertificateBuilder", signing: "ec.EllipticCurvePrivateKey", key: "ec.EllipticCurvePrivateKey"
) -> "x509.Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    if signing is not key:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
        builder = builder.add_extension(identifier, critical=False)
    return builder.sign(signing, SHA256())


def _write(files: Files, chain: "Sequence[x509.Certificate]", key: "ec.EllipticCurvePrivateKey") -> None:
    from cryptography.hazmat.primitives import serialization

    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _replace(files.key, private, 0o600)
    _replace(files.certificate, b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain), 0o644)


def _replace(path: Path, content: bytes, mode: int) -> None:
    partial = path.with_name(path.name + ".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
