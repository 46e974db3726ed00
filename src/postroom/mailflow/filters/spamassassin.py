"""Asks SpamAssassin's spamd about a letter (spamd protocol 1.5: SYMBOLS, PING)."""

import math
import re
from dataclasses import dataclass

from postroom.mailflow.filters import wire
from postroom.mailflow.filters.opinions import JUNK, Opinion
from postroom.mailflow.filters.settings import SpamAssassin
from postroom.mailflow.filters.wire import Unavailable

NAME = "spamassassin"
_NUMBER = rb"[ \t]*+(-?[0-9.]{1,12})[ \t]*+"
_VERDICT = re.compile(rb"^Spam:[ \t]*+(True|False)[ \t]*+;" + _NUMBER + rb"/" + _NUMBER + rb"\r?$", re.MULTILINE | re.IGNORECASE)
_STATUS = re.compile(rb"SPAMD/[0-9.]{1,8} 0 ")


@dataclass(frozen=True, slots=True)
class Client:
    """One spamd."""

    settings: SpamAssassin

    async def ask(self, raw: bytes) -> Opinion:
        """Give its opinion of a letter with the lines of this server, whose Received it reads; raises `Unavailable`."""
        return read(await self._say("SYMBOLS", raw))

    async def reach(self) -> None:
        """Find out whether it is there; raises `Unavailable`."""
        answer = await wire.converse(self.settings.address, [b"PING SPAMC/1.5\r\n\r\n"], self.settings.seconds)
        if not _STATUS.match(answer):
            raise Unavailable(f"{self.settings.address} is no spamd")

    async def _say(self, verb: str, raw: bytes) -> bytes:
        user = [f"User: {wire.safe(self.settings.user)}"] if self.settings.user else []
        head = "\r\n".join([f"{verb} SPAMC/1.5", f"Content-length: {len(raw)}", *user, "", ""]).encode()
        return await wire.converse(self.settings.address, [head, raw], self.settings.seconds)


def read(answer: bytes) -> Opinion:
    """Read an answer to SYMBOLS; raises `Unavailable` when it is none."""
    head, _, body = answer.partition(b"\r\n\r\n")
    found = _VERDICT.search(head)
    if not _STATUS.match(head) or found is None:
        raise Unavailable("spamd's answer cannot be read")
    try:
        score, required = float(found[2]), float(found[3])
    except ValueError:
        raise Unavailable("spamd's answer cannot be read") from None
    ratio = score / required if required > 0 else 0.0
    spam = found[1].lower() == b"true"
    ratio = max(ratio, JUNK) if spam else min(ratio, math.nextafter(JUNK, 0))
    names = body[:20_000].decode("ascii", "replace").split(",")
    return Opinion(ratio, tuple(wire.safe(name.strip())[:64] for name in names if name.strip()))
