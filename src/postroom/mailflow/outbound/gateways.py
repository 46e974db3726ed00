"""Gateways: servers by way of which flow rules send letters, instead of to the mail exchangers of their recipients.

WorkMail administrator guide: SMTP gateways
"""

from pathlib import Path
from typing import Literal

import msgspec

from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.routes import host_and_port

PORT = 587
"""Where submission is (RFC 6409 §3.1)."""


class Gateway(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server by way of which outbound flow rules send letters. What it does not take for now is tried again, as with any server."""

    address: str
    """`host:port`, port 587 by default."""
    tls: Literal["required", "implicit", "none"] = "required"
    """`required` is STARTTLS and `implicit` TLS from the start, both with a valid certificate; `none` is for laboratories."""
    user: str = ""
    """The name to sign in with; empty for none. A password is sent under TLS only."""
    password: str = ""
    """The password to it."""
    password_file: str = ""
    """A file with the password, in its place."""
    ca: str = ""
    """A PEM file with the authorities to trust; the system's when empty."""


def check(gateway: Gateway) -> None:
    """Raise ValueError for a gateway that cannot be reached, or not without telling others the password."""
    host, port = host_and_port(gateway.address, PORT)
    if not host or not 0 < port < 65536:
        raise ValueError(f"address: {gateway.address} is no host:port")
    if gateway.password and gateway.password_file:
        raise ValueError("needs either password or password_file")
    if bool(gateway.user) != bool(gateway.password or gateway.password_file):
        raise ValueError("needs both user and a password, or neither")
    if gateway.user and gateway.tls == "none":
        raise ValueError("the password would go there in clear; use TLS")


def as_smarthost(gateway: Gateway, settings: Settings) -> Settings:
    """Give the settings with a gateway in the place of the smarthost; raises OSError when its password cannot be read."""
    host, port = host_and_port(gateway.address, PORT)
    return msgspec.structs.replace(
        settings,
        smarthost=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        smarthost_user=gateway.user,
        smarthost_password=gateway.password or (Path(gateway.password_file).read_text().strip() if gateway.password_file else ""),
        smarthost_tls=gateway.tls,
        smarthost_ca=gateway.ca,
    )
