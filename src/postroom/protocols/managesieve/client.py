"""One connection: takes its octets in, carries its commands out one after the other, ends when its time is over."""

import asyncio
import secrets
from collections.abc import Iterator
from typing import Any, Protocol, cast

import structlog

from postroom.model import actors
from postroom.model.actors import Client
from postroom.protocols.managesieve.commands import carry_out
from postroom.protocols.managesieve.commands.simple import capabilities
from postroom.protocols.managesieve.connection import Connection, Overflow, Refusal, Words
from postroom.protocols.managesieve.grammar import SILENT, Done, Malformed, no, ok
from postroom.protocols.managesieve.session import Challenge, Session, Step, Steps
from postroom.protocols.managesieve.settings import Settings

STRANGERS_LITERAL = 4_096
"""Octets of a literal of somebody who has not signed in."""
UNREAD = 1 << 17
"""Octets of input that may wait behind a running command before reading stops."""

log = structlog.get_logger("postroom.managesieve")


class Server(Protocol):
    """What a connection needs of its server."""

    @property
    def settings(self) -> Settings:
        """What the operator has set."""

    def session(self, client: Client) -> Session:
        """Make the session of a new client."""

    def admit(self, front: "Front") -> bool:
        """Count a new connection in, unless there are too many."""

    def dismiss(self, front: "Front") -> None:
        """Count a connection out."""

    def attend(self, front: "Front", step: Step) -> None:
        """Do a step that has to be waited for, and those after it; then `resume` the connection."""


class Front(asyncio.Protocol):
    """One connection and the command it is carrying out."""

    def __init__(self, server: Server, *, secure: bool) -> None:
        self._server = server
        self._secure = secure
        self._wire = Connection(STRANGERS_LITERAL)
        self._steps: Steps | None = None
        self._challenged = self._busy = self._paused = False
        self._errors = 0
        self.lost = False
        self.address = ""
        self.deadline = float("inf")

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client (RFC 5804 §1.7)."""
        self.transport = cast(asyncio.Transport, transport)
        self.address = str((transport.get_extra_info("peername") or ["local"])[0])
        self.session = self._server.session(Client(actors.Protocol.IMAP, self.address, self._secure))
        if not self._server.admit(self):
            self.goodbye("Too many connections.", b"TRYLATER")
            return
        self._set_deadline(self._server.settings.sign_in_timeout)
        self.transport.write(capabilities(self.session) + ok("Postroom is ready.").line())

    def data_received(self, data: bytes) -> None:
        """Take octets in, and do what they ask unless a command is still running."""
        if self.lost:
            return
        self._wire.receive(data)
        if not self._busy:
            self._run()
        elif self._wire.waiting > UNREAD:
            self.transport.pause_reading()
        if self.session.actor is not None and not (self._paused or self.lost):
            self._set_deadline(self._server.settings.idle_timeout)

    def pause_writing(self) -> None:
        """Take nothing more from a client that does not read."""
        self._paused = True
        self._set_deadline(self._server.settings.stall_timeout)
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._set_deadline(self._server.settings.idle_timeout)
        self.resume()

    def connection_lost(self, error: Exception | None) -> None:
        """Let everything go."""
        self.lost = True
        self._server.dismiss(self)
        if not self._busy and self._steps is not None:
            self._steps.close()

    # Time

    def _set_deadline(self, seconds: float) -> None:
        self.deadline = asyncio.get_running_loop().time() + seconds

    def expire(self) -> None:
        """End a connection whose time is over, unless its own command is what takes so long."""
        if self._paused or self.lost:
            self.transport.abort()
        elif self._busy:
            self._set_deadline(self._server.settings.idle_timeout)
        else:
            self.goodbye("You were silent for too long.")
            self._set_deadline(self._server.settings.stall_timeout)

    def goodbye(self, text: str, code: bytes = b"") -> None:
        """Say a last word and close."""
        if not self.lost:
            self.transport.write(Done(b"BYE", text, code).line())
        self._close()

    def _close(self) -> None:
        self.lost = True
        self.transport.close()

    # Commands

    def _run(self) -> None:
        """Take what has come in, until something must be waited for."""
        while not (self.lost or self._busy or self._paused):
            event = self._wire.next_event()
            if event is None:
                return
            if isinstance(event, Overflow):
                self.goodbye(event.text)
            elif isinstance(event, Refusal):
                self._refuse(event)
            else:
                self._take(event)

    def _take(self, event: Words) -> None:
        if self._challenged:
            self._challenged = False
            step = self.advance(event.words)
        else:
            self._steps = carry_out(self.session, event.words)
            step = self.advance(None)
        if step is not None:
            self._busy = True
            self._server.attend(self, step)

    def _refuse(self, refusal: Refusal) -> None:
        if self._challenged and self._steps is not None:
            self._steps.close()
            self._challenged, self._steps = False, None
        self.transport.write(no(refusal.text, refusal.code).line())
        self._count_error()

    def _count_error(self) -> None:
        self._errors += 1
        if self._errors >= self._server.settings.maximum_errors:
            self.goodbye("Too many errors.")

    def advance(self, value: Any, error: Exception | None = None) -> Step | None:
        """Carry the command on; gives the step that has to be waited for, or None when it is the client's turn."""
        steps = self._steps
        assert steps is not None
        try:
            step = steps.send(value) if error is None else steps.throw(error)
            while isinstance(step, bytes):
                self._write(step)
                step = next(steps)
            if isinstance(step, Challenge):
                self._write(step.text)
                self._challenged = True
                return None
            return step
        except StopIteration as end:
            self._finish(end.value)
        except Malformed:
            self._steps = None
            self._refuse(Refusal("This is no command."))
        except Exception as bug:
            number = secrets.token_hex(6)
            log.error("internal_error", error_id=number, client=self.address, exc_info=bug)
            self._finish(no(f"Internal error {number}"))
        return None

    def _write(self, data: bytes) -> None:
        if not self.lost:
            self.transport.write(data)

    def _finish(self, done: Done) -> None:
        self._steps = None
        if done is not SILENT:
            self._write(done.line())
        self._wire.literal_limit = STRANGERS_LITERAL if self.session.actor is None else self._server.settings.maximum_script
        if self.session.actor is not None:
            self._errors = 0
        if self.session.leaving and not self.lost:
            self._close()

    def resume(self) -> None:
        """Go on with what has come in meanwhile."""
        if self._paused or self.lost:
            return
        self.transport.resume_reading()
        self._run()

    def free(self) -> None:
        """Let the next command be taken: the running one is answered, or waits for its client."""
        self._busy = False
        self.resume()

    # TLS

    def forget(self) -> None:
        """Drop what has come in and is not yet carried out."""
        self._wire.drop()

    def encrypted(self, transport: asyncio.Transport | None) -> None:
        """Go on over TLS; without a transport the handshake has failed, and nobody else will say that the connection is lost."""
        if transport is None:
            self.transport.abort()
            self.connection_lost(None)
        else:
            self.transport = transport


def late(fronts: Iterator[Front], now: float) -> list[Front]:
    """List the connections whose time is over."""
    return [front for front in fronts if front.deadline < now]
