"""One connection: takes its bytes in, carries its commands out, ends when its time is over.

It feeds its bytes to a `Connection`, takes one command at a time and drives the command's generator: steps that need no waiting are done
at once, in the callback that brought the bytes; only for the others does the server start a task, for as long as they take. A
connection that waits for its client, in IDLE or between commands, has no task and no timer.

While a client does not read, its command is not carried on, and while a command runs, little more is read. So what one client
can make the server hold is bounded: some unread input, two batches of answers, and literals within the common room.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Protocol, cast

import structlog
from prometheus_client import Counter

from postroom.model import actors
from postroom.model.actors import Client
from postroom.protocols.imap.commands import VERBS, carry_out
from postroom.protocols.imap.commands.capability import capabilities
from postroom.protocols.imap.connection import STRANGER, Connection, Limits, Order, Overflow, Prompt, Refusal, Reply
from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.literals import Room
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.settings import Settings
from postroom.protocols.imap.steps import Ask, Follow, Listen, Step, Steps, Watch

UNREAD = 1 << 17
"""Octets of input that may wait behind a running command before reading stops."""
TOGETHER = 1 << 14
"""Octets of answers that are gathered and sent as one: each packet wakes the client, and each is encrypted by itself."""
TURN = 64
"""Commands of one connection that are carried out before the others have their turn."""

COMMANDS = Counter("postroom_imap_commands", "IMAP commands by verb", ["verb"])
_COUNTERS = {command: COMMANDS.labels(verb.name) for command, verb in VERBS.items()}

log = structlog.get_logger("postroom.imap")


class Server(Protocol):
    """What a connection needs of its server."""

    @property
    def settings(self) -> Settings:
        """What the operator has set."""

    @property
    def limits(self) -> Limits:
        """How much a client may say at once that has signed in."""

    @property
    def room(self) -> Room:
        """Where literals are kept."""

    def session(self, client: Client) -> Session:
        """Make the session of a new client."""

    def admit(self, front: "Front") -> bool:
        """Count a new connection in, unless there are too many."""

    def dismiss(self, front: "Front") -> None:
        """Count a connection out."""

    def attend(self, front: "Front", step: Step) -> None:
        """Do a step that has to be waited for, and those after it; then `resume` the connection."""

    def watch(self, session: Session, mailbox: int, callback: Callable[[int], None]) -> Callable[[], None]:
        """Call back with the folder whenever one of a mailbox changes; gives the way to stop."""

    def doubt(self, front: "Front") -> None:
        """Ask again whether a client may stay, and `expel` it if it may not."""


class Front(asyncio.Protocol):
    """One connection and the command it is carrying out."""

    __slots__ = (
        "_busy",
        "_drained",
        "_errors",
        "_farewell",
        "_listening",
        "_paused",
        "_secure",
        "_server",
        "_steps",
        "_turning",
        "_unwatch",
        "_wire",
        "address",
        "deadline",
        "expelled",
        "lost",
        "session",
        "transport",
    )

    def __init__(self, server: Server, *, secure: bool) -> None:
        self._server = server
        self._secure = secure
        self._steps: Steps | None = None
        self._unwatch: list[Callable[[], None]] = []
        self._drained: asyncio.Future[None] | None = None
        self._busy = self._paused = self.lost = self._listening = self._turning = False
        self.expelled = False
        self._errors = 0
        self._farewell = b""
        self._wire = Connection(STRANGER, server.room)
        self.address = ""
        self.deadline = float("inf")

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client."""
        self.transport = cast(asyncio.Transport, transport)
        self.address = str((transport.get_extra_info("peername") or ["local"])[0])
        self.session = self._server.session(Client(actors.Protocol.IMAP, self.address, self._secure))
        if not self._server.admit(self):
            self.goodbye(b"* BYE [UNAVAILABLE] Too many connections.\r\n")
            return
        self.transport.set_write_buffer_limits(high=self._server.settings.write_buffer)
        self._set_deadline(self._server.settings.sign_in_timeout)
        self.transport.write(b"* OK [CAPABILITY %b] Postroom is ready.\r\n" % capabilities(self.session))

    def data_received(self, data: bytes) -> None:
        """Take bytes in, and do what they ask unless a command is still running."""
        if self.lost:
            return
        self._wire.receive(data)
        if not (self._busy or self._turning):
            self._run()
        elif self._wire.waiting > UNREAD:
            self.transport.pause_reading()
        if self.session.actor is not None and not (self._paused or self.lost):
            settings = self._server.settings
            self._set_deadline(settings.stall_timeout if self._wire.reserves else settings.idle_timeout)

    def pause_writing(self) -> None:
        """Carry on no further while the client does not read."""
        self._paused = True
        self._set_deadline(self._server.settings.stall_timeout)
        if self.session.actor is None:
            self.abort()

    def resume_writing(self) -> None:
        """Carry on."""
        self._paused = False
        self._set_deadline(self._server.settings.idle_timeout)
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Free everything, at once or when the running command comes back."""
        self.lost = True
        self._server.dismiss(self)
        for unwatch in self._unwatch:
            unwatch()
        self._unwatch = []
        self._wake()
        if not self._busy:
            self._clear()

    # Time

    def _set_deadline(self, seconds: float) -> None:
        self.deadline = asyncio.get_running_loop().time() + seconds

    def expire(self) -> None:
        """End a connection whose time is over, unless its own command is what takes so long."""
        if self._paused or self.lost:
            self.abort()
        elif self._busy:
            self._set_deadline(self._server.settings.idle_timeout)
        else:
            self.goodbye(b"* BYE You were silent for too long.\r\n")
            self._set_deadline(self._server.settings.stall_timeout)

    def goodbye(self, line: bytes) -> None:
        """Say a last word and close: now, or once the running command is answered."""
        self.session.leaving = True
        self._farewell = line
        if not self._busy and not self.lost:
            self._close()

    def expel(self, line: bytes) -> None:
        """Say goodbye to a client that may not stay: now, or when the running command has written or read a part of what it does."""
        self.expelled = True
        self.goodbye(line)

    def break_off(self) -> None:
        """End the running command between two answers."""
        if self._steps is not None:
            self._steps.close()
            self._steps = None

    def abort(self) -> None:
        """Close without a word."""
        self.transport.abort()

    def _close(self) -> None:
        self.lost = True
        if self._farewell:
            self.transport.write(self._farewell)
        self.transport.close()

    # Commands

    def _run(self) -> None:
        """Take what has come in, until something must be waited for or it is the turn of others."""
        wire = self._wire
        for _ in range(TURN):
            event = None if self.lost else wire.next_event()
            if event is None:
                return
            step: Step | None = None
            if isinstance(event, Order):
                _COUNTERS[type(event.command)].inc()
                self._steps = carry_out(self.session, event.tag, event.command)
                step = self.advance(None)
            elif isinstance(event, Reply):
                self._listening = False
                step = self.advance(event.line)
            elif isinstance(event, Prompt):
                self.transport.write(b"+ Go ahead.\r\n")
            else:
                self._refuse(event)
            if step is not None:
                self._busy = True
                self._server.attend(self, step)
                return
        self._turning = True
        self.transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """Go on with what has come in, after the others."""
        self._turning = False
        if not (self._busy or self.lost):
            self.transport.resume_reading()
            self._run()

    def _refuse(self, event: Refusal | Overflow) -> None:
        if isinstance(event, Overflow):
            self.goodbye(b"* BYE %b\r\n" % answers.plain(event.text))
            return
        self.transport.write(answers.Done(event.status, answers.plain(event.text), event.code).line(event.tag))
        if event.status == b"BAD":
            self._count_error()

    def _count_error(self) -> None:
        self._errors += 1
        if self._errors >= self._server.settings.maximum_errors and not self.lost:
            self.goodbye(b"* BYE Too many errors.\r\n")

    def advance(self, value: Any, error: Exception | None = None) -> Step | None:
        """Carry the command on; gives the step that has to be waited for, or None when it is the client's turn."""
        steps = self._steps
        assert steps is not None
        out: list[bytes] = []
        held = 0
        try:
            step = steps.send(value) if error is None else steps.throw(error)
            while True:
                if isinstance(step, bytes):
                    out.append(step)
                    held += len(step)
                    if held > TOGETHER:
                        held = self._write(out)
                    if self._paused or self.lost:
                        return b""
                elif isinstance(step, Ask):
                    out.append(step.prompt)
                    self._wire.ask()
                    return None
                elif isinstance(step, Watch):
                    self._watch()
                elif isinstance(step, Follow):
                    self.session.unfollow = self._server.watch(self.session, step.mailbox.id, self._changed)
                elif isinstance(step, Listen) and not self.session.stale:
                    self._listening = True
                    self._wire.ask()
                    return None
                elif not isinstance(step, Listen):
                    return step
                step = next(steps)
        except StopIteration as end:
            self._write(out)
            self._finish(end.value)
        except Exception as bug:
            self._write(out)
            self._report(bug)
        finally:
            self._write(out)
        return None

    def _write(self, out: list[bytes]) -> int:
        """Send what has been gathered, as one; gives what is held now."""
        if out and not self.lost:
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))
        out.clear()
        return 0

    def _finish(self, done: answers.Done) -> None:
        self._steps = None
        self._wire.release()
        if done.status == b"BAD":
            self._count_error()
        elif done.status == b"OK":
            self._errors = 0
        if self.session.leaving and not self.lost:
            self._close()

    def _report(self, bug: Exception) -> None:
        """Answer a bug of ours with a number under which the log tells more."""
        number = secrets.token_hex(6)
        log.error("internal_error", error_id=number, client=self.address, exc_info=bug)
        if not self.lost:
            text = answers.no(b"Internal error " + number.encode(), b"SERVERBUG")
            self.transport.write(text.line(self.session.tag))
        self._finish(answers.SILENT)

    def resume(self) -> None:
        """Go on with what has come in meanwhile, now that the command is answered or waits for its client."""
        self._busy = False
        if not self.lost and self.session.leaving:
            self._close()
        if self.lost:
            self._clear()
            return
        self.transport.resume_reading()
        if self._listening and self.session.stale:
            self._notice()
        else:
            self._run()

    def encrypted(self, transport: asyncio.Transport | None) -> None:
        """Go on over TLS; without a transport the handshake has failed, and nobody else will say that the connection is lost."""
        if transport is None:
            self.transport.abort()
            self.connection_lost(None)
            return
        self.transport = transport
        transport.set_write_buffer_limits(high=self._server.settings.write_buffer)

    def forget(self) -> None:
        """Drop what has come in and is not yet carried out."""
        self._wire.drop()

    def drained(self) -> "asyncio.Future[None]":
        """Give what is done once the client has read most of what it was sent, or has gone."""
        drained = asyncio.get_running_loop().create_future()
        if self._paused and not self.lost:
            self._drained = drained
        else:
            drained.set_result(None)
        return drained

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    # News

    def _watch(self) -> None:
        """Hear of changes in the mailbox from now on; a client that has signed in gets more room."""
        self._wire.widen(self._server.limits)
        self._set_deadline(self._server.settings.idle_timeout)
        self._unwatch = [self._server.watch(self.session, mailbox, self._changed) for mailbox in self.session.concerned]

    def _changed(self, folder: int) -> None:
        news = self.session.changed(folder)
        if self.session.doubtful and not self.lost:
            self._server.doubt(self)
        if news and self._listening and not self._busy and not self.lost:
            self._notice()

    def _notice(self) -> None:
        """Let a command in IDLE tell what has changed."""
        self._listening = False
        step = self.advance(None)
        if step is not None:
            self._busy = True
            self._server.attend(self, step)
        else:
            self._run()

    def _clear(self) -> None:
        """Free what a connection that has ended still holds."""
        if self._steps is not None:
            self._steps.close()
            self._steps = None
        self._wire.close()
        self.session.leave_folder()
