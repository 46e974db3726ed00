"""Addresses to listen on, as they stand in the configuration: `127.0.0.1:25`, `[::1]:25`, `*:25`, `mail.example.org:0`."""

import re
from dataclasses import dataclass

_ENDPOINT = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%a-z]+)\]|(?P<host>[^\[\]:\s]+)):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host, None for every interface, and a port, 0 for any free one."""

    host: str | None
    port: int

    def __str__(self) -> str:
        host = self.host or "*"
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


def parse(text: str) -> Endpoint:
    """Read `host:port`; raises ValueError with the reason."""
    match = _ENDPOINT.fullmatch(text)
    if not match:
        raise ValueError(f'"{text}" is not host:port, such as 127.0.0.1:25, [::1]:25 or *:25')
    port = int(match["port"])
    if port > 65535:
        raise ValueError(f'"{text}" has a port above 65535')
    host = match["six"] or match["host"]
    return Endpoint(None if host == "*" else host, port)


def split(text: str, default_port: int) -> tuple[str, int]:
    """Read `host` or `host:port` of something to connect to; raises ValueError with the reason."""
    if text.count(":") == 0 or (text.startswith("[") and text.endswith("]")):
        text = f"{text}:{default_port}"
    elif text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]:{default_port}"
    endpoint = parse(text)
    if endpoint.host is None:
        raise ValueError(f'"{text}" needs a host')
    return endpoint.host, endpoint.port
