"""The questions that checks ask of DNS.

A check *yields* a `Query` and is sent a list of texts, or has `NoSuchName` or `NoAnswer` raised in it.
"""

import ipaddress
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query:
    """A question: TXT, A, AAAA, MX (answered with hosts, best first) or PTR (asked by address)."""

    kind: str
    name: str


Check = Generator[Query, list[str], T]
"""A check that comes to a T."""


def is_same(text: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Say whether an answer is an address."""
    try:
        return ipaddress.ip_address(text) == address
    except ValueError:
        return False
