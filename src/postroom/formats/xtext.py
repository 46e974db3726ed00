"""xtext: how SMTP parameters write what may not stand in them (RFC 3461 §4)."""

import re

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*\Z")
_CODED = re.compile(r"\+([0-9A-F]{2})")


def is_xtext(text: str) -> bool:
    """Say whether a text is xtext."""
    return _XTEXT.match(text) is not None


def decode(text: str) -> str:
    """Give what xtext stands for; octets above 127 are taken for UTF-8."""
    return _CODED.sub(lambda found: chr(int(found[1], 16)), text).encode("latin-1", "replace").decode("utf-8", "replace")


def encode(text: str) -> str:
    """Write a text as xtext."""
    return "".join(chr(octet) if 0x21 <= octet <= 0x7E and octet not in b"+=" else f"+{octet:02X}" for octet in text.encode())
