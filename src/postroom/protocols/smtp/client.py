"""One client's conversation: octets to events, events to commands, replies to the wire. It never waits.

Whatever a command asks for while it runs is answered by the server; meanwhile further octets pile up to a bound and
then the reading stops. Replies are written when the client has nothing more under way, so a pipelined group is
answered in one packet (RFC 2920 §3.2). Lines and messages have deadlines that single octets do not extend.
"""

import asyncio
import secrets
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Protocol, cast

import structlog
from prometheus_client import Counter

from postroom.model import errors as domain_errors
from postroom.model.actors import Client
from postroom.model.actors import Protocol as ClientProtocol
from postroom.protocols.smtp import commands, errors
from postroom.protocols.smtp.commands import starttls
from postroom.protocols.smtp.connection import BadLine, Connection, Content, End, Event, Line, Smuggling
from postroom.protocols.smtp.grammar import BadCommand, Bdat, Reply, StartTls, parse
from postroom.protocols.smtp.intake import Intake
from postroom.protocols.smtp.patience import Patience
from postroom.protocols.smtp.session import Ask, Challenge, Collect, Conversation, Session
from postroom.protocols.smtp.settings import Settings

REFUSALS = Counter("postroom_smtp_refusals", "Commands refused, by code", ["role", "code"])
log = structlog.get_logger("postroom.smtp")

_INPUT_LIMIT = 64 * 1024
_LINGER = 2.0
_TURN = 64  # commands of one client before the others have their turn
_GO_AHEAD = Reply(354, "", "End with CRLF.CRLF").render()


class Server(Protocol):
    """What a conversation needs of its server."""

    settings: Settings
    closing: bool

    @property
    def stressed(self) -> bool:
        """Say whether connections are scarce."""

    def enter(self, speaker: "Speaker", address: str) -> Reply | None:
        """Count a connection in, or give the refusal."""

    def leave(self, speaker: "Speaker") -> None:
        """Count a connection out."""

    def session(self, client: Client) -> Session:
        """Make the session of a new client."""

    def attend(self, speaker: "Speaker", session: Session, conversation: Conversation, ask: Ask) -> Coroutine[Any, Any, None]:
        """Answer a command until it has replied."""

    def shake_hands(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> Coroutine[Any, Any, asyncio.Transport | None]:
        """Encrypt a connection; None when that fails."""


class Speaker(asyncio.Protocol):
    """One connection. Exactly one of these is true: idle, `_busy`, collecting a message, or waiting for an answer."""

    def __init__(self, server: Server, *, implicit_tls: bool) -> None:
        self._server = server
        self._settings = server.settings
        self._implicit_tls = implicit_tls
        self._framing = Connection()
        self._out: list[bytes] = []
        self._busy = False
        self._held_back = False  # the client does not read its replies
        self._eof = False
        self._turning = False  # others have their turn
        self._over = False  # no more input is looked at
        self._waiting: Conversation | None = None  # for a line
        self._patience = Patience(server.settings)
        self._since = 0.0
        self._task: asyncio.Task[None] | None = None

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or turn away."""
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) and peer else "unknown"
        self._session = self._server.session(Client(ClientProtocol.SMTP, address, secure=False))
        self._intake = Intake(self._session, self._framing)
        refusal = self._server.enter(self, address)
        if refusal:
            REFUSALS.labels(self._session.role, refusal.code).inc()
            self._over = True
            self._transport.write(refusal.render())
            self._transport.close()
        elif self._implicit_tls and transport.get_extra_info("ssl_object") is None:
            self._upgrade()
        else:
            self._note_security()
            self._greet()

    def data_received(self, data: bytes) -> None:
        """Take octets."""
        if self._over:
            return
        self._framing.receive(data)
        if self._busy or self._held_back or self._turning:
            if self._framing.pending > _INPUT_LIMIT:
                self._transport.pause_reading()
            return
        self._advance()

    def eof_received(self) -> bool:
        """Answer what has come, then close."""
        self._eof = True
        if not (self._busy or self._over or self._turning):
            self._advance()
        return (self._busy or self._turning) and not self._session.secure

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client; a message being stored is stored all the same."""
        self._over = True
        self._server.leave(self)
        self._drop_waiting()
        if not self._busy:
            self._session.reset()

    def pause_writing(self) -> None:
        """Do nothing more for a client that does not read."""
        self._held_back = True

    def resume_writing(self) -> None:
        """Go on."""
        self._held_back = False
        if not (self._busy or self._over or self._turning):
            self._advance()

    # Events

    def _advance(self) -> None:
        """Handle events while there are any and nothing has to be waited for, then write the replies.

        After so many it is the turn of other clients.
        """
        turn = _TURN
        while not (self._busy or self._over or self._held_back):
            event = self._framing.next() if turn else None
            if event is None:
                break
            turn -= 1
            self._handle(event)
        if self._over or self._busy:
            return
        self._flush()
        if not turn:
            self._turning = True
            self._transport.pause_reading()
            self._loop.call_soon(self._take_turn)
        elif self._eof:
            self._hang_up()
        else:
            self._transport.resume_reading()

    def _take_turn(self) -> None:
        self._turning = False
        if not (self._busy or self._over or self._held_back):
            self._advance()

    def _handle(self, event: Event) -> None:
        match event:
            case Content(octets):
                self._break_off(self._intake.take(octets))
            case Line(text):
                self._since = self._loop.time()
                self._line(text)
            case End(fault):
                self._since = self._loop.time()
                self._run(self._intake.end(fault))
            case BadLine("too long" | "NUL" as reason):
                self._drop_waiting()
                self._finish(Reply(500, "5.5.2", f"Line refused: {reason}"))
            case BadLine(reason):
                self._drop_waiting()
                self._finish(Reply(521, "5.5.2", f"Lines end with CRLF: {reason}"))
            case Smuggling():
                self._drop_waiting()
                self._finish(Reply(521, "5.5.2", "Content ends with CRLF.CRLF and nothing else"))

    def _line(self, text: bytes) -> None:
        if self._waiting is not None:
            conversation, self._waiting = self._waiting, None
            self._run((conversation, text))
            return
        try:
            command = parse(text)
        except BadCommand as bad:
            self._finish(bad.reply)
            return
        if self._patience.idled(command):
            self._finish(Reply(421, "4.7.0", "Too many commands without mail"))
        elif isinstance(command, Bdat):
            self._break_off(self._intake.begin_chunk(command))
        elif isinstance(command, StartTls):
            self._start_tls(command)
        else:
            answer = commands.answer(self._session, command)
            self._run(answer if isinstance(answer, Reply) else (answer, None))

    def _run(self, answer: Reply | tuple[Conversation, Any]) -> None:
        """Give a reply, or start or resume a command with what it is to be sent."""
        if isinstance(answer, Reply):
            self._finish(answer)
            return
        conversation, value = answer
        ask = self._step(conversation, value)
        if ask is not None:
            self._busy = True
            self._task = self._loop.create_task(self._server.attend(self, self._session, conversation, ask))

    def proceed(self, conversation: Conversation, value: Any, error: Exception | None) -> Ask | None:
        """Give a command the answer it waits for; give what it asks next, or None when it has replied."""
        self._busy = False
        self._since = self._loop.time()
        ask = self._step(conversation, value, error)
        if ask is not None:
            self._busy = True
        elif self._over:
            self._session.reset()
        else:
            self._advance()
        return ask

    def _step(self, conversation: Conversation, value: Any, error: Exception | None = None) -> Ask | None:
        """Run a command to its reply, or to where the client or the server has to answer."""
        try:
            ask = conversation.send(value) if error is None else conversation.throw(error)
        except StopIteration as done:
            self._finish(done.value)
        except BadCommand as bad:
            self._finish(bad.reply)
        except domain_errors.PostroomError as refusal:
            self._finish(errors.reply(refusal))
        except Exception:
            name = secrets.token_hex(4)
            log.error("internal_error", id=name, role=self._session.role, exc_info=True)
            self._finish(Reply(451, "4.3.0", f"Internal error {name}"))
        else:
            match ask:
                case Challenge(text):
                    self._out.append(f"334 {text}\r\n".encode())
                    self._waiting = conversation
                case Collect():
                    self._collect(self._intake.collect(conversation))
                case _:
                    return ask
        return None

    def _finish(self, reply: Reply) -> None:
        """Note a command's final reply, and close the connection where it says so."""
        if self._over:
            return
        self._out.append(reply.render())
        self._patience.note_delivered(self._session.delivered)
        if not reply.ok:
            REFUSALS.labels(self._session.role, reply.code).inc()
            if self._patience.erred(reply) and not reply.closing:
                reply = Reply(421, "4.7.0", "Too many errors")
                self._out.append(reply.render())
        if reply.closing:
            self._hang_up(linger=reply.code != 221)
        elif self._server.closing:
            self.shut()

    # Messages

    def _collect(self, refusal: Reply | None) -> None:
        if refusal is None:
            self._out.append(_GO_AHEAD)
        else:
            self._finish(refusal)

    def _break_off(self, refusal: Reply | None) -> None:
        """Hang up after a refusal that leaves nobody knowing where the next command begins."""
        if refusal is not None:
            self._finish(refusal)
            self._hang_up(linger=True)

    def _drop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None
        self._intake.drop()

    # TLS

    def _start_tls(self, command: StartTls) -> None:
        reply = starttls.starttls(self._session, command)
        if not reply.ok:
            self._finish(reply)
            return
        self._transport.pause_reading()
        self._out.append(reply.render())
        self._flush()
        self._session.restart()
        self._upgrade()

    def _upgrade(self) -> None:
        """Shake hands; nothing that came in plain survives it (RFC 3207 §6)."""
        self._busy = True
        self._framing.forget()
        self._loop.create_task(self._server.shake_hands(self._transport, self)).add_done_callback(self._shaken)

    def _shaken(self, task: "asyncio.Task[asyncio.Transport | None]") -> None:
        self._busy = False
        self._since = self._loop.time()
        transport = None if task.cancelled() else task.result()
        if transport is None or self._over:
            self.abort()
            self.connection_lost(None)  # nobody else will say so
            return
        self._transport = transport  # what the framing holds by now came through it
        self._note_security()
        if self._implicit_tls:
            self._greet()
        self._advance()

    def _note_security(self) -> None:
        secured = self._transport.get_extra_info("ssl_object")
        if secured is not None:
            session = self._session
            session.secure = True
            session.client = replace(session.client, secure=True)
            cipher = secured.cipher()
            session.cipher = f"{secured.version()} {cipher[0]}" if cipher else str(secured.version())

    # The end

    def _greet(self) -> None:
        self._out.append(Reply(220, "", f"{self._settings.hostname} ESMTP Postroom").render())
        self._flush()

    def _flush(self) -> None:
        if self._out:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def _hang_up(self, *, linger: bool = False) -> None:
        """Close after what is still to be said; `linger` lets a client who is talking read it first."""
        if self._over:
            return
        self._over = True
        self._flush()
        self._drop_waiting()
        self._session.reset()
        if linger and not self._eof:
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._transport.resume_reading()
            self._loop.call_later(_LINGER, self._transport.close)
        else:
            self._transport.close()

    def shut(self) -> None:
        """Say goodbye now, or when the command under way is answered."""
        if not self._busy and not self._over:
            self._out.append(Reply(421, "4.3.2", f"{self._settings.hostname} is shutting down").render())
            self._hang_up()

    def abort(self) -> None:
        """Drop the connection."""
        self._over = True
        self._transport.abort()

    def check_deadline(self, now: float) -> None:
        """Hang up on a client that takes too long at `now`, in the loop's time."""
        if self._busy or self._over:
            return
        settings, stressed = self._settings, self._server.stressed
        if self._framing.reading_message:
            patience = settings.message_timeout / (10 if stressed else 1) + self._intake.octets / settings.minimum_rate
        else:
            patience = settings.stress_timeout if stressed else settings.command_timeout
        if now - self._since > patience:
            self._out.append(Reply(421, "4.4.2", "Timeout").render())
            self._hang_up()
            if self._held_back:
                self.abort()
