"""DKIM signatures made ahead, by nobody's signer: relaxed/relaxed, rsa-sha256, over letters of plain lines (RFC 6376)."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SIGNED = ("from", "to", "subject", "date", "message-id", "mime-version", "content-type")


@dataclass(frozen=True, slots=True)
class Signer:
    """A domain with one key."""

    domain: str
    selector: str = "bench"
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    @property
    def record(self) -> str:
        """Give the text of the key's TXT record."""
        public = self.key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"

    @property
    def pem(self) -> bytes:
        """Give the private key as PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )

    def sign(self, raw: bytes) -> bytes:
        """Give a letter with its signature before it."""
        head, _, body = raw.partition(b"\r\n\r\n")
        fields = dict(_relaxed(line) for line in re.split(rb"\r\n(?![ \t])", head))
        names = [name for name in SIGNED if name.encode() in fields]
        value = (
            f"v=1; a=rsa-sha256; c=relaxed/relaxed; d={self.domain}; s={self.selector}; h={':'.join(names)};"
            f" bh={base64.b64encode(hashlib.sha256(_body(body)).digest()).decode()}; b="
        )
        signed = b"".join(b"%s:%s\r\n" % (name.encode(), fields[name.encode()]) for name in names) + f"dkim-signature:{value}".encode()
        signature = self.key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return f"DKIM-Signature: {value}{base64.b64encode(signature).decode()}\r\n".encode() + raw


def _relaxed(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.strip().lower(), b" ".join(value.split())


def _body(body: bytes) -> bytes:
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    text = b"\r\n".join(lines).rstrip(b"\r\n")
    return text + b"\r\n" if text else b""
