"""All connections of ManageSieve: lets them in, does for their commands what has to be waited for, ends those that have had their time."""

import asyncio
import ssl
from contextlib import suppress
from typing import Any

import structlog
from prometheus_client import Gauge

from postroom.model.actors import Client
from postroom.policy.authenticator import Authenticator
from postroom.policy.crowd import Crowd
from postroom.protocols.managesieve.client import Front, late
from postroom.protocols.managesieve.session import Read, Session, SignIn, StartTls, Step, Work, Write
from postroom.protocols.managesieve.settings import Settings
from postroom.storage.engine import Store

HANDSHAKE_SECONDS = 15.0
TICK_SECONDS = 5.0

CONNECTIONS = Gauge("postroom_managesieve_connections", "ManageSieve connections now open")
log = structlog.get_logger("postroom.managesieve")


class ManageSieveServer:
    """All connections; `authenticator` says who they are, `tls` makes STARTTLS possible."""

    def __init__(
        self, *, store: Store, authenticator: Authenticator, settings: Settings | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.store = store
        self.authenticator = authenticator
        self.settings = settings or Settings()
        self.tls = tls
        self.closing = False
        self.fronts: set[Front] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._crowd = Crowd(
            most=self.settings.maximum_connections,
            most_of_place=self.settings.connections_per_address,
            trusted=self.settings.trusted_networks,
        )
        self._empty = asyncio.Event()
        self._empty.set()
        self._tick: asyncio.TimerHandle | None = None

    def connection(self, *, implicit_tls: bool) -> Front:
        """Make the protocol of one accepted connection."""
        return Front(self, secure=implicit_tls)

    async def close(self, grace: float) -> None:
        """Say goodbye to all clients; commands under way have `grace` seconds to end."""
        self.closing = True
        for front in list(self.fronts):
            front.goodbye("The server is going down.", b"TRYLATER")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), grace)
        for front in list(self.fronts):
            front.transport.abort()
        if self._tick is not None:
            self._tick.cancel()

    def session(self, client: Client) -> Session:
        """Make the session of a new client."""
        return Session(self.settings, client, tls=self.tls is not None)

    def admit(self, front: Front) -> bool:
        """Count a new connection in, unless there are too many in all or from its address."""
        if self.closing or not self._crowd.enter(self._crowd.place(front.address)):
            return False
        self.fronts.add(front)
        self._empty.clear()
        CONNECTIONS.inc()
        if self._tick is None:
            self._tick = asyncio.get_running_loop().call_later(self._pause, self._look_round)
        return True

    def dismiss(self, front: Front) -> None:
        """Count a connection out."""
        if front not in self.fronts:
            return
        self.fronts.discard(front)
        CONNECTIONS.dec()
        self._crowd.leave(self._crowd.place(front.address))
        if not self.fronts:
            self._empty.set()

    @property
    def _pause(self) -> float:
        settings = self.settings
        return min(TICK_SECONDS, settings.sign_in_timeout / 8, settings.idle_timeout / 8, settings.stall_timeout / 8)

    def _look_round(self) -> None:
        """End the connections whose time is over; sleep when there are none left."""
        loop = asyncio.get_running_loop()
        for front in late(iter(self.fronts), loop.time()):
            front.expire()
        self._tick = loop.call_later(self._pause, self._look_round) if self.fronts else None

    # What has to be waited for

    def attend(self, front: Front, step: Step) -> None:
        """Do a step that has to be waited for, and those after it."""
        task = asyncio.get_running_loop().create_task(self._follow(front, step))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, front: Front, step: Step) -> None:
        following: Step | None = step
        while following is not None and not front.lost:
            try:
                value, failure = await self._perform(front, following), None
            except Exception as error:
                value, failure = None, error
            following = front.advance(value, failure)
        front.free()

    async def _perform(self, front: Front, step: Step) -> Any:
        if isinstance(step, Read):
            return await self.store.read(_scope(step.args), step.function, *step.args)
        if isinstance(step, Write):
            return await self.store.transact(_scope(step.args), step.function, *step.args)
        if isinstance(step, Work):
            return await self.store.run(step.function, *step.args)
        if isinstance(step, SignIn):
            return await self.authenticator.authenticate(step.credentials, front.session.client)
        assert isinstance(step, StartTls)
        return await self._start_tls(front, step.answer)

    async def _start_tls(self, front: Front, answer: bytes) -> None:
        """Answer in clear, forget what came in clear, go on encrypted (RFC 5804 §2.2)."""
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


def _scope(arguments: tuple[Any, ...]) -> int:
    """Say whose organization is asked: that of the user who is named first."""
    scope: int = arguments[0].scope
    return scope
