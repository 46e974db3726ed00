"""A server elsewhere that says just what it is told, however wrong, where a real one could not be made to."""

import asyncio
import contextlib
from collections.abc import Callable

Answer = bytes | Callable[[bytes], bytes]
_USUAL = {"EHLO": b"250-elsewhere.test\r\n250 SIZE\r\n", "DATA": b"354 go on\r\n", "QUIT": b"221 bye\r\n"}


class Scripted:
    """`answers` gives by verb, and by `END` for a finished message, what is said instead of the usual; b"" is silence.

    Like many, it wants RSET after it has refused DATA, and takes `messages` of them over one connection; it greets the
    first `welcome` connections.
    """

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.greet_after = self.read_after = 0.0
        self.messages = self.welcome = 1000
        self.connections = 0
        self.bodies: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hold one conversation."""
        self.connections += 1
        number = self.connections
        with contextlib.suppress(ConnectionError):
            await asyncio.sleep(self.greet_after)
            writer.write(b"220 elsewhere.test ESMTP\r\n" if number <= self.welcome else b"421 4.7.0 Enough\r\n")
            if number <= self.welcome:
                await self._converse(reader, writer)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way, taken = False, 0
        while line := await reader.readline():
            verb = line.split()[0].upper().decode()
            answer = self.answers.get(verb, _USUAL.get(verb, b"250 OK\r\n"))
            answer = answer if isinstance(answer, bytes) else answer(line)
            if verb == "MAIL" and under_way:
                answer = b"503 5.5.1 Nested MAIL\r\n"
            if verb == "MAIL" and taken >= self.messages:
                answer = b"421 4.7.0 Enough\r\n"
            under_way = verb not in {"RSET", "EHLO"} and (under_way or (verb == "MAIL" and answer.startswith(b"250")))
            writer.write(answer)
            if answer.startswith(b"354"):
                writer.transport.pause_reading()
                await asyncio.sleep(self.read_after)
                writer.transport.resume_reading()
                self.bodies.append(await reader.readuntil(b"\r\n.\r\n"))
                under_way, taken = False, taken + 1
                end = self.answers.get("END", b"250 2.0.0 Taken\r\n")
                writer.write(end if isinstance(end, bytes) else end(self.bodies[-1]))
            if answer.startswith((b"221", b"421")):
                return
