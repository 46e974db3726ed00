"""All connections: lets them in, does for their commands what has to be waited for, ends those that have had their time.

What a connection does by itself is in `client`; here is the rest: the store and sign-in, of which a task waits for as long as a command
takes; TLS; and one sweep over all deadlines, so that no connection has a timer.
"""

import asyncio
import ssl
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import IO, Any, cast

import structlog
from prometheus_client import Counter, Gauge

from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.model.actors import Client
from postroom.model.errors import OrganizationNotFound
from postroom.policy.authenticator import Authenticator
from postroom.policy.crowd import Crowd
from postroom.protocols.imap import updates
from postroom.protocols.imap.client import Front
from postroom.protocols.imap.connection import Limits
from postroom.protocols.imap.grammar.scanner import Literal
from postroom.protocols.imap.literals import Allowance, Room
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.settings import Settings
from postroom.protocols.imap.steps import Look, Prepare, Read, SignIn, StartTls, Step, Write, WriteWhile
from postroom.protocols.imap.view import Remembered
from postroom.storage.engine import Store
from postroom.storage.notifier import WHOLE

SMALL = 32 << 10
"""Octets of a message that is parsed at once: a third of a millisecond at most, and a thread would take longer to wake."""
HANDSHAKE_SECONDS = 15.0
TOGETHER = 100
"""Clients of one organization that are asked about in one transaction."""
EXPULSION_SECONDS = 4.0
"""How long a client that may not stay has to take its last answers."""
AGAIN_SECONDS = 1.0
"""How long a store that could not answer is left alone."""
VIEWS_BYTES = 16 << 20
"""Octets of UIDs remembered for folders selected again."""

CONNECTIONS = Gauge("postroom_imap_connections", "IMAP connections now open")
REFUSED = Counter("postroom_imap_refused_connections", "IMAP connections refused because there were too many")

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
        self._crowd = Crowd(
            most=self.settings.maximum_connections,
            most_of_place=self.settings.connections_per_address,
            trusted=self.settings.trusted_networks,
        )
        self._empty = asyncio.Event()
        self._empty.set()
        self._sweep: asyncio.TimerHandle | None = None
        self._doubted: dict[Front, None] = {}
        self._asking: asyncio.Task[None] | None = None

    def connection(self, *, implicit_tls: bool) -> Front:
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
        if self._asking is not None:
            self._asking.cancel()

    def admit(self, front: Front) -> bool:
        """Count a new connection in, unless there are too many in all or from its address."""
        if self.closing or not self._crowd.enter(self._crowd.place(front.address)):
            REFUSED.inc()
            return False
        self.fronts.add(front)
        self._empty.clear()
        CONNECTIONS.inc()
        if self._sweep is None:
            self._schedule()
        return True

    def dismiss(self, front: Front) -> None:
        """Count a connection out."""
        if front not in self.fronts:
            return
        self.fronts.discard(front)
        if not self.fronts:
            self._empty.set()
        CONNECTIONS.dec()
        self._crowd.leave(self._crowd.place(front.address))

    def _spool(self) -> IO[bytes]:
        """Open a file without a name for a large literal."""
        return cast(IO[bytes], tempfile.TemporaryFile(dir=self.settings.spool_folder or None))

    def session(self, client: Client) -> Session:
        """Make the session of a new client."""
        return Session(self.settings, client, self.views, tls=self.tls is not None)

    def watch(self, session: Session, mailbox: int, callback: Callable[[int], None]) -> Callable[[], None]:
        """Call back with the folder whenever one of a mailbox changes; gives the way to stop."""
        notifier = self.store.notifier
        unwatch = notifier.subscribe(session.own.scope, mailbox, callback)
        if notifier.doubts != session.doubts:
            callback(WHOLE)  # it may have been closed since the client began to sign in
        return unwatch

    def _schedule(self) -> None:
        settings = self.settings
        pause = min(5.0, settings.sign_in_timeout / 8, settings.idle_timeout / 8, settings.stall_timeout / 8)
        self._sweep = asyncio.get_running_loop().call_later(pause, self._look_round)

    def _look_round(self) -> None:
        """End the connections whose time is over, and ask about those whose token has expired; sleep when there are none left."""
        now = asyncio.get_running_loop().time()
        for front in [front for front in self.fronts if front.deadline < now]:
            front.expire()
        now = self.store.now()
        for front in [front for front in self.fronts if front.session.expired(now) and not front.expelled]:
            self.doubt(front)
        self._sweep = None
        if self.fronts:
            self._schedule()

    # Who may stay

    def doubt(self, front: Front) -> None:
        """Ask again whether a client may stay: many together, and away from the event loop."""
        self._doubted[front] = None
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask_again())

    async def _ask_again(self) -> None:
        try:
            while self._doubted:
                scope = _scope(next(iter(self._doubted)))
                fronts = list(islice((front for front in self._doubted if _scope(front) == scope), TOGETHER))
                for front in fronts:
                    del self._doubted[front]
                    front.session.doubtful = False
                self._expel(dict(zip(fronts, await self._goodbyes(scope, fronts), strict=True)))
        finally:
            self._asking = None

    def _expel(self, goodbyes: Mapping[Front, bytes]) -> None:
        """End the connections that are said goodbye to; those that do not take it within some seconds end without."""
        expelled = [front for front, goodbye in goodbyes.items() if goodbye and not front.lost]
        for front in expelled:
            front.expel(goodbyes[front])
        if expelled:
            asyncio.get_running_loop().call_later(EXPULSION_SECONDS, self._cut, expelled)

    def _cut(self, expelled: Sequence[Front]) -> None:
        for front in self.fronts.intersection(expelled):
            front.abort()

    async def _goodbyes(self, scope: int, fronts: Sequence[Front]) -> Sequence[bytes]:
        """Say goodbye to those that may not stay; while the store does not answer, nobody goes and all are asked again."""
        try:
            return await self.store.read(scope, updates.goodbyes_of, [front.session for front in fronts])
        except OrganizationNotFound:
            return [updates.CLOSED] * len(fronts)
        except Exception as error:
            log.warning("admission_not_asked", reason=str(error))
            for front in fronts:
                front.session.doubtful = True
                self._doubted[front] = None
            await asyncio.sleep(AGAIN_SECONDS)
            return [b""] * len(fronts)

    # What has to be waited for

    def attend(self, front: Front, step: Step) -> None:
        """Do a step that has to be waited for, and those after it; then `resume` the connection."""
        task = asyncio.get_running_loop().create_task(self._follow(front, step))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _follow(self, front: Front, step: Step) -> None:
        following: Step | None = step
        while following is not None and not front.lost:
            try:
                value, failure = await self._perform(front, following), None
            except Exception as error:
                value, failure = None, error
            if front.expelled and isinstance(following, Read | WriteWhile):
                front.break_off()
                break
            following = None if front.lost else front.advance(value, failure)
        front.resume()

    async def _perform(self, front: Front, step: Step) -> Any:
        if isinstance(step, Look):
            return await self.store.look(_scope(front), step.function, *step.args)
        if isinstance(step, Read):
            return await self.store.read(_scope(front), step.function, *step.args)
        if isinstance(step, WriteWhile):
            return await self._write_while(front, step)
        if isinstance(step, Write):
            return await self.store.transact(_scope(front), step.function, *step.args)
        if isinstance(step, Prepare):
            return await self._prepare(_scope(front), step.content)
        if isinstance(step, SignIn):
            front.session.doubts = self.store.notifier.doubts
            return await self.authenticator.authenticate(step.credentials, front.session.client)
        if isinstance(step, StartTls):
            return await self._start_tls(front, step.answer)
        return await front.drained()

    async def _write_while(self, front: Front, step: WriteWhile) -> Any:
        """Let a storage thread read on while this one encrypts and sends."""
        reading = asyncio.ensure_future(self._perform(front, step.read))
        await asyncio.sleep(0)
        for data in step.data:
            if front.lost:
                break
            front.transport.write(data)
            await front.drained()
        return await reading

    async def _prepare(self, scope: int, content: Literal) -> Prepared:
        """Parse a message: a small one at once, others on a storage thread, large ones one after the other, so that few are in memory."""
        if content.size <= SMALL:
            return contents.prepare(self.store, scope, content.read())
        if content.size <= self.settings.spool_threshold:
            return await self.store.run(contents.prepare, self.store, scope, content.read())
        async with self.large:
            return await self.store.run(_prepare_spooled, self.store, scope, content)

    async def _start_tls(self, front: Front, answer: bytes) -> None:
        """Answer in clear, forget what came in clear, go on encrypted (RFC 3501 §6.2.1)."""
        assert self.tls is not None
        front.transport.pause_reading()
        front.transport.write(answer)
        front.forget()
        loop = asyncio.get_running_loop()
        try:
            made = await loop.start_tls(front.transport, front, self.tls, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS)
        except (OSError, RuntimeError) as error:
            log.info("tls_failed", client=front.address, reason=str(error))
            made = None
        front.encrypted(made)


def _scope(front: Front) -> int:
    actor = front.session.actor
    assert actor is not None
    return actor.scope


def _prepare_spooled(store: Store, scope: int, content: Literal) -> Prepared:
    return contents.prepare(store, scope, content.read())
