"""Keys, requests and the certificate that answers a challenge: what is made here for an authority to see."""

import datetime
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
CHALLENGE_DAYS = 2
RSA_BITS = 2048


UNREADABLE = (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType)
"""What reading a certificate of others may raise."""


class Unfit(Exception):
    """What an authority has sent is not what was asked for; the text says why."""


def make(kind: str) -> Key:
    """Make a private key: `ecdsa-p256`, `ecdsa-p384` or `rsa-2048`."""
    if kind == "rsa-2048":
        return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    return ec.generate_private_key(ec.SECP384R1() if kind == "ecdsa-p384" else ec.SECP256R1())


def read(pem: bytes, kind: str) -> Key | None:
    """Read a private key; None if it is not of this kind or cannot be read."""
    try:
        found = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        return None
    if isinstance(found, ec.EllipticCurvePrivateKey):
        return found if kind == f"ecdsa-p{found.curve.key_size}" else None
    return found if isinstance(found, rsa.RSAPrivateKey) and kind == f"rsa-{found.key_size}" else None


def pem(key: Key) -> bytes:
    """Write a private key, unencrypted."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def request(key: Key, name: str) -> bytes:
    """Write a certificate signing request for one name."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(key, SHA256()).public_bytes(serialization.Encoding.PEM)


def answering(name: str, authorization: str) -> bytes:
    """Make the key and certificate that answer a challenge in a handshake, as one PEM text (RFC 8737 §3)."""
    key = ec.generate_private_key(ec.SECP256R1())
    digest = b"\x04\x20" + hashlib.sha256(authorization.encode()).digest()
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start)
    builder = builder.not_valid_after(start + datetime.timedelta(days=CHALLENGE_DAYS))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
    builder = builder.add_extension(x509.UnrecognizedExtension(ACME_IDENTIFIER, digest), critical=True)
    return pem(key) + builder.sign(key, SHA256()).public_bytes(serialization.Encoding.PEM)


def check(chain: bytes, key: Key, name: str) -> None:
    """Look whether a chain begins with a valid certificate of this key for this name; raises Unfit."""
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    except UNREADABLE as error:
        raise Unfit(f"what it has sent is no certificate: {error}") from None
    if leaf.public_key() != key.public_key():
        raise Unfit("its certificate is for another key")
    if name not in [one.lower() for one in names]:
        raise Unfit(f"its certificate does not name {name}")
    if leaf.not_valid_after_utc <= datetime.datetime.now(datetime.UTC):
        raise Unfit("its certificate has ended already")
