"""The loop: reads and writes sockets, carries commands out, and ends connections that have had their time.

A connection is one small object. It feeds its bytes to a `Connection`, takes one command at a time and drives the command's
generator: steps that need no waiting are done at once, in the callback that brought the bytes; only for the store does a
task live, for as long as that command takes. A connection that waits for its client, in IDLE or between commands, has no
task and no timer: one sweep for all looks after their deadlines.

While a client does not read, its command is not carried on, and while a command runs, little more is read. So what one client
can make the server hold is bounded: some unread input, one batch of answers, and literals within the common allowance.
"""

import asyncio
import secrets
import ssl
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, cast

import structlog
from prometheus_client import Counter, Gauge

from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.model.actors import Client, Protocol
from postroom.policy.authenticator import Authenticator
from postroom.protocols.imap.commands import VERBS, carry_out
from postroom.protocols.imap.commands.capability import capabilities
from postroom.protocols.imap.connection import STRANGER, Connection, Limits, Order, Overflow, Prompt, Refusal, Reply
from postroom.protocols.imap.crowd import Crowd
from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.scanner import Literal
from postroom.protocols.imap.literals import Allowance, Room
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.settings import Settings
from postroom.protocols.imap.steps import Ask, Listen, Look, Prepare, Read, SignIn, StartTls, Step, Steps, Watch, Write, WriteWhile
from postroom.protocols.imap.view import Remembered
from postroom.storage.engine import Store

UNREAD = 1 << 17
"""Octets of input that may wait behind a running command before reading stops."""
SMALL = 32 << 10
"""Octets of a message that is parsed at once: a third of a millisecond at most, and a thread would take longer to wake."""
HANDSHAKE_SECONDS = 15.0
TURN = 64
"""Commands of one connection that are carried out before the others have their turn."""
VIEWS_BYTES = 16 << 20
"""Octets of UIDs remembered for folders selected again."""

CONNECTIONS = Gauge("postroom_imap_connections", "IMAP connections now open")
COMMANDS = Counter("postroom_imap_commands", "IMAP commands by verb", ["verb"])
REFUSED = Counter("postroom_imap_refused_connections", "IMAP connections refused because there were too many")
_COUNTERS = {command: COMMANDS.labels(verb.name) for command, verb in VERBS.items()}

log = structlog.get_logger("postroom.imap")


class ImapServer:
    """All IMAP connections of the program; `authenticator` says who they are, `tls` makes STARTTLS possible."""

    def __init__(
        self, *, store: Store, authenticator: Authenticator, settings: Settings | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.store = store
        self.authenticator = authenticator
        self.settings = settings or Settings()
        self.tls = tls
        self.closing = False
        self.large = asyncio.Semaphore(1)
        self.room = Room(Allowance(self.settings.memory_for_literals), Allowance(self.settings.spool_limit), self._spool)
        self.limits = Limits(line=self.settings.maximum_line, message=self.settings.maximum_message, memory=self.settings.spool_threshold)
        self.views = Remembered(VIEWS_BYTES)
        self.fronts: set[Front] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._crowd = Crowd(self.settings)
        self._empty = asyncio.Event()
        self._empty.set()
        self._sweep: asyncio.TimerHandle | None = None

    def connection(self, *, implicit_tls: bool) -> "Front":
        """Make the protocol of one accepted connection."""
        return Front(self, secure=implicit_tls)

    async def close(self, grace: float) -> None:
        """Say goodbye to all clients; commands under way have `grace` seconds to end."""
        self.closing = True
        for front in list(self.fronts):
            front.goodbye(b"* BYE [UNAVAILABLE] The server is going down.\r\n")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), grace)
        for front in list(self.fronts):
            front.abort()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def admit(self, front: "Front") -> bool:
        """Count a new connection in, unless there are too many in all or from its address."""
        if self.closing or not self._crowd.enter(front.address):
            REFUSED.inc()
            return False
        self.fronts.add(front)
        self._empty.clear()
        CONNECTIONS.inc()
        if self._sweep is None:
            self._schedule()
        return True

    def dismiss(self, front: "Front") -> None:
        """Count a connection out."""
        if front not in self.fronts:
            return
        self.fronts.discard(front)
        if not self.fronts:
            self._empty.set()
        CONNECTIONS.dec()
        self._crowd.leave(front.address)

    def _spool(self) -> IO[bytes]:
        """Open a file without a name for a large literal."""
        return cast(IO[bytes], tempfile.TemporaryFile(dir=self.settings.spool_folder or None))

    def spawn(self, work: Any) -> None:
        """Run what a command waits for."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _schedule(self) -> None:
        settings = self.settings
        pause = min(5.0, settings.sign_in_timeout / 8, settings.idle_timeout / 8, settings.stall_timeout / 8)
        self._sweep = asyncio.get_running_loop().call_later(pause, self._look_round)

    def _look_round(self) -> None:
        """End the connections whose time is over; sleep when there are none left."""
        now = asyncio.get_running_loop().time()
        for front in [front for front in self.fronts if front.deadline < now]:
            front.expire()
        self._sweep = None
        if self.fronts:
            self._schedule()


class Front(asyncio.Protocol):
    """One connection and the command it is carrying out."""

    __slots__ = (
        "_busy",
        "_drained",
        "_errors",
        "_farewell",
        "_listening",
        "_lost",
        "_paused",
        "_secure",
        "_server",
        "_session",
        "_steps",
        "_transport",
        "_turning",
        "_unwatch",
        "_wire",
        "address",
        "deadline",
    )

    def __init__(self, server: ImapServer, *, secure: bool) -> None:
        self._server = server
        self._secure = secure
        self._steps: Steps | None = None
        self._unwatch: Callable[[], None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._busy = self._paused = self._lost = self._listening = self._turning = False
        self._errors = 0
        self._farewell = b""
        self._wire = Connection(STRANGER, server.room)
        self.address = ""
        self.deadline = float("inf")

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client."""
        self._transport = cast(asyncio.Transport, transport)
        self.address = str((transport.get_extra_info("peername") or ["local"])[0])
        client = Client(Protocol.IMAP, self.address, self._secure)
        self._session = Session(self._server.settings, client, self._server.views, tls=self._server.tls is not None)
        if not self._server.admit(self):
            self.goodbye(b"* BYE [UNAVAILABLE] Too many connections.\r\n")
            return
        self._transport.set_write_buffer_limits(high=self._server.settings.write_buffer)
        self._set_deadline(self._server.settings.sign_in_timeout)
        self._transport.write(b"* OK [CAPABILITY %b] Postroom is ready.\r\n" % capabilities(self._session))

    def data_received(self, data: bytes) -> None:
        """Take bytes in, and do what they ask unless a command is still running."""
        if self._lost:
            return
        if self._session.actor is not None and not self._paused:
            self._set_deadline(self._server.settings.idle_timeout)
        self._wire.receive(data)
        if not (self._busy or self._turning):
            self._run()
        elif self._wire.waiting > UNREAD:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Carry on no further while the client does not read."""
        self._paused = True
        self._set_deadline(self._server.settings.stall_timeout)
        if self._session.actor is None:
            self.abort()

    def resume_writing(self) -> None:
        """Carry on."""
        self._paused = False
        self._set_deadline(self._server.settings.idle_timeout)
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Free everything, at once or when the running command comes back."""
        self._lost = True
        self._server.dismiss(self)
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        self._wake()
        if not self._busy:
            self._clear()

    # Time

    def _set_deadline(self, seconds: float) -> None:
        self.deadline = asyncio.get_running_loop().time() + seconds

    def expire(self) -> None:
        """End a connection whose time is over, unless its own command is what takes so long."""
        if self._paused or self._lost:
            self.abort()
        elif self._busy:
            self._set_deadline(self._server.settings.idle_timeout)
        else:
            self.goodbye(b"* BYE You were silent for too long.\r\n")
            self._set_deadline(self._server.settings.stall_timeout)

    def goodbye(self, line: bytes) -> None:
        """Say a last word and close: now, or once the running command is answered."""
        self._session.leaving = True
        self._farewell = line
        if not self._busy and not self._lost:
            self._close()

    def abort(self) -> None:
        """Close without a word."""
        self._transport.abort()

    def _close(self) -> None:
        self._lost = True
        if self._farewell:
            self._transport.write(self._farewell)
        self._transport.close()

    # Commands

    def _run(self) -> None:
        """Take what has come in, until something must be waited for or it is the turn of others."""
        wire = self._wire
        for _ in range(TURN):
            event = None if self._lost else wire.next_event()
            if event is None:
                return
            step: Step | None = None
            if isinstance(event, Order):
                _COUNTERS[type(event.command)].inc()
                self._steps = carry_out(self._session, event.tag, event.command)
                step = self._advance(None)
            elif isinstance(event, Reply):
                self._listening = False
                step = self._advance(event.line)
            elif isinstance(event, Prompt):
                self._transport.write(b"+ Go ahead.\r\n")
            else:
                self._refuse(event)
            if step is not None:
                self._busy = True
                self._server.spawn(self._follow(step))
                return
        self._turning = True
        self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """Go on with what has come in, after the others."""
        self._turning = False
        if not (self._busy or self._lost):
            self._transport.resume_reading()
            self._run()

    def _refuse(self, event: Refusal | Overflow) -> None:
        if isinstance(event, Overflow):
            self.goodbye(b"* BYE %b\r\n" % answers.plain(event.text))
            return
        self._transport.write(answers.Done(event.status, answers.plain(event.text), event.code).line(event.tag))
        if event.status == b"BAD":
            self._count_error()

    def _count_error(self) -> None:
        self._errors += 1
        if self._errors >= self._server.settings.maximum_errors and not self._lost:
            self.goodbye(b"* BYE Too many errors.\r\n")

    def _advance(self, value: Any, error: Exception | None = None) -> Step | None:
        """Carry the command on; gives the step that has to be waited for, or None when it is the client's turn."""
        steps = self._steps
        assert steps is not None
        try:
            step = steps.send(value) if error is None else steps.throw(error)
            while True:
                if isinstance(step, bytes):
                    if step and not self._lost:
                        self._transport.write(step)
                    if self._paused or self._lost:
                        return b""
                elif isinstance(step, Ask):
                    self._transport.write(step.prompt)
                    self._wire.ask()
                    return None
                elif isinstance(step, Watch):
                    self._watch()
                elif isinstance(step, Listen) and not self._session.stale:
                    self._listening = True
                    self._wire.ask()
                    return None
                elif not isinstance(step, Listen):
                    return step
                step = next(steps)
        except StopIteration as end:
            self._finish(end.value)
        except Exception as bug:
            self._report(bug)
        return None

    def _finish(self, done: answers.Done) -> None:
        self._steps = None
        self._wire.release()
        if done.status == b"BAD":
            self._count_error()
        if self._session.leaving and not self._lost:
            self._close()

    def _report(self, bug: Exception) -> None:
        """Answer a bug of ours with a number under which the log tells more."""
        number = secrets.token_hex(6)
        log.error("internal_error", error_id=number, client=self.address, exc_info=bug)
        if not self._lost:
            text = answers.no(b"Internal error " + number.encode(), b"SERVERBUG")
            self._transport.write(text.line(self._session.tag))
        self._finish(answers.SILENT)

    async def _follow(self, step: Step | None) -> None:
        """Do the steps of a command that have to be waited for."""
        while step is not None and not self._gone():
            try:
                value = await self._perform(step)
            except Exception as error:
                step = self._advance(None, error) if not self._gone() else None
            else:
                step = self._advance(value) if not self._gone() else None
        self._busy = False
        if self._gone():
            self._clear()
            return
        if self._session.leaving:
            self._close()
            self._clear()
            return
        self._transport.resume_reading()
        if self._listening and self._session.stale:
            self._notice()
        else:
            self._run()

    def _gone(self) -> bool:
        """Say whether nobody is left to answer."""
        return self._lost

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Look):
            return await self._server.store.look(self._scope, step.function, *step.args)
        if isinstance(step, Read):
            return await self._server.store.read(self._scope, step.function, *step.args)
        if isinstance(step, WriteWhile):
            return await self._write_while(step)
        if isinstance(step, Write):
            return await self._server.store.transact(self._scope, step.function, *step.args)
        if isinstance(step, Prepare):
            return await self._prepare(step.content)
        if isinstance(step, SignIn):
            return await self._server.authenticator.authenticate(step.credentials, self._session.client)
        if isinstance(step, StartTls):
            return await self._start_tls(step.answer)
        return await self._drain()

    async def _write_while(self, step: WriteWhile) -> Any:
        """Let a storage thread read on while this one encrypts and sends."""
        reading = asyncio.ensure_future(self._perform(step.read))
        await asyncio.sleep(0)
        for data in step.data:
            if self._lost:
                break
            self._transport.write(data)
            await self._drain()
        return await reading

    @property
    def _scope(self) -> int:
        actor = self._session.actor
        assert actor is not None
        return actor.scope

    async def _prepare(self, content: Literal) -> Prepared:
        """Parse a message: a small one at once, others on a storage thread, large ones one after the other, so that few are in memory."""
        store = self._server.store
        if content.size <= SMALL:
            return contents.prepare(store, self._scope, content.read())
        if content.size <= self._server.settings.spool_threshold:
            return await store.run(contents.prepare, store, self._scope, content.read())
        async with self._server.large:
            return await store.run(_prepare_spooled, store, self._scope, content)

    async def _start_tls(self, answer: bytes) -> None:
        """Answer in clear, forget what came in clear, go on encrypted (RFC 3501 §6.2.1)."""
        tls = self._server.tls
        assert tls is not None
        transport = self._transport
        transport.pause_reading()
        transport.write(answer)
        self._wire.drop()
        try:
            made = await asyncio.get_running_loop().start_tls(
                transport, self, tls, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, RuntimeError) as error:
            log.info("tls_failed", client=self.address, reason=str(error))
            made = None
        if made is None:  # nobody else will say that the connection is lost
            transport.abort()
            self.connection_lost(None)
            return
        self._transport = made
        made.set_write_buffer_limits(high=self._server.settings.write_buffer)

    async def _drain(self) -> None:
        """Wait until the client has read most of what it was sent."""
        while self._paused and not self._lost:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained
            self._drained = None

    def _wake(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # News

    def _watch(self) -> None:
        """Hear of changes in the mailbox from now on; a client that has signed in gets more room."""
        session = self._session
        assert session.mailbox is not None
        self._wire.widen(self._server.limits)
        self._set_deadline(self._server.settings.idle_timeout)
        self._unwatch = self._server.store.notifier.subscribe(session.mailbox.scope, session.mailbox.id, self._changed)

    def _changed(self, folder: int) -> None:
        if self._session.changed(folder) and self._listening and not self._busy and not self._lost:
            self._notice()

    def _notice(self) -> None:
        """Let a command in IDLE tell what has changed."""
        self._listening = False
        step = self._advance(None)
        if step is not None:
            self._busy = True
            self._server.spawn(self._follow(step))
        else:
            self._run()

    def _clear(self) -> None:
        """Free what a connection that has ended still holds."""
        if self._steps is not None:
            self._steps.close()
            self._steps = None
        self._wire.close()
        self._session.leave_folder()


def _prepare_spooled(store: Store, scope: int, content: Literal) -> Prepared:
    return contents.prepare(store, scope, content.read())
