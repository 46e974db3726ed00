"""How filters are spoken to: a connection for each question, with bounds on what is sent, what is read, and how long that takes.

A filter that does not answer is asked no more for a while, so that a dead one costs its time-out on few letters and not on each.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable

from postroom.mailflow.routes import host_and_port

ANSWER_LIMIT = 1 << 20
"""Octets of an answer."""
_PIECE = 1 << 16
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")


class Unavailable(Exception):
    """A filter did not answer, or said something that is no answer; the text says why."""


class Resting(Unavailable):
    """A filter is not asked for a while."""


class Breaker:
    """Counts failures: after three in a row nobody is asked for half a minute, and then one letter tries."""

    FAILURES = 3
    PAUSE_SECONDS = 30.0

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failures = 0
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Say whether to ask nobody now; who hears that it is not has to try, since the others wait for what comes of it."""
        if self._failures < self.FAILURES:
            return False
        now = self._now()
        if now < self._until:
            return True
        self._until = now + self.PAUSE_SECONDS
        return False

    def succeeded(self) -> None:
        """Note an answer."""
        self._failures = 0

    def failed(self) -> None:
        """Note that none came."""
        self._failures += 1
        if self._failures >= self.FAILURES:
            self._until = self._now() + self.PAUSE_SECONDS


async def converse(address: str, question: list[bytes], seconds: float) -> bytes:
    """Send a question and read the answer to its end, by which the other closes; raises `Unavailable`.

    Who answers before having heard all of it is listened to all the same.
    """
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await _dial(address)
            try:
                sending = asyncio.ensure_future(_send(writer, question))
                try:
                    return await _read(reader)
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise Unavailable(f"{address} took longer than {seconds:g} seconds") from None
    except (OSError, ValueError) as error:
        raise Unavailable(f"{address}: {error}") from None


async def _dial(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"))
    return await asyncio.open_connection(*host_and_port(address, 0))


async def _send(writer: asyncio.StreamWriter, question: list[bytes]) -> None:
    with contextlib.suppress(OSError):
        for piece in question:
            writer.write(piece)
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    while True:
        try:
            piece = await reader.read(_PIECE)
        except ConnectionError:
            piece = b""  # closed with a part of the question unread
        if not piece:
            return bytes(answer)
        answer += piece
        if len(answer) > ANSWER_LIMIT:
            raise ValueError(f"an answer of more than {ANSWER_LIMIT} octets")


def safe(text: str) -> str:
    """Make a client's words fit for a line."""
    return _UNSAFE.sub("?", text)[:1000]


def shown(raw: bytes, largest: int, larger: str) -> bytes | None:
    """Give what of a letter a filter gets to see; None for nothing."""
    if len(raw) <= largest:
        return raw
    return raw[:largest] if larger == "head" else None
