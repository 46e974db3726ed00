"""A throw-away certificate for 127.0.0.1, of the same kind for each peer."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


def write(certificate: Path, key: Path) -> None:
    """Write a fresh server certificate (ECDSA P-256) and its key as PEM."""
    issued = trustme.CA().issue_cert("127.0.0.1", "localhost")
    key.write_bytes(issued.private_key_pem.bytes())
    key.chmod(0o600)
    certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))


def client_context() -> ssl.SSLContext:
    """Give a client context that accepts any certificate: only the cost of TLS matters here, and it is equal on both sides."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
