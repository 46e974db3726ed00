"""Asks ClamAV's clamd about a letter (clamd: INSTREAM, PING)."""

import re
import struct
from dataclasses import dataclass

from postroom.mailflow.filters import wire
from postroom.mailflow.filters.opinions import Opinion
from postroom.mailflow.filters.settings import ClamAv
from postroom.mailflow.filters.wire import Unavailable

NAME = "clamav"
_CHUNK = 1 << 18
_FOUND = re.compile(rb"stream: ([\x21-\x7e]{1,200}) FOUND\0?\Z")


@dataclass(frozen=True, slots=True)
class Client:
    """One clamd."""

    settings: ClamAv

    async def ask(self, raw: bytes) -> Opinion:
        """Give its opinion of a letter; raises `Unavailable`."""
        opinion = read(await wire.converse(self.settings.address, question(raw), self.settings.seconds))
        if opinion.found and self.settings.found == "refuse":
            return Opinion(found=opinion.found, symbols=opinion.symbols, refuse=f"This message holds malware ({opinion.found})", score=1.0)
        return opinion

    async def reach(self) -> None:
        """Find out whether it is there; raises `Unavailable`."""
        if (await wire.converse(self.settings.address, [b"zPING\0"], self.settings.seconds)).rstrip(b"\0\n") != b"PONG":
            raise Unavailable(f"{self.settings.address} is no clamd")


def question(raw: bytes) -> list[bytes]:
    """Write a letter in chunks, each behind its length; one of no octets ends it."""
    pieces = [b"zINSTREAM\0"]
    for start in range(0, len(raw), _CHUNK):
        piece = raw[start : start + _CHUNK]
        pieces.append(struct.pack(">L", len(piece)) + piece)
    return [*pieces, b"\0\0\0\0"]


def read(answer: bytes) -> Opinion:
    """Read an answer; raises `Unavailable` when it is none."""
    if answer.rstrip(b"\0") == b"stream: OK":
        return Opinion()
    found = _FOUND.match(answer)
    if found is None:
        raise Unavailable(f"clamd answered {answer[:200].decode('ascii', 'replace')!r}")
    return Opinion(score=1.0, symbols=("MALWARE",), found=found[1].decode("ascii"))
