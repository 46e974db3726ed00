"""One listening SMTP server: its clients, and the answers to what their commands ask for. The only place that waits.

Nothing a client does or leaves undone holds resources for long: connections are counted over all and for each address,
idle ones get less time when they are scarce, unfinished messages share one bounded room, and finished ones are parsed
and stored a bounded number of octets at a time.
"""

import asyncio
import contextlib
import ssl
import time
from typing import Any

import structlog
from prometheus_client import Gauge

from postroom.mailflow.outbound.scales import Scales
from postroom.mailflow.outgoing import USUAL, Terms
from postroom.mailflow.screening import Screening
from postroom.model import errors as domain_errors
from postroom.model.actors import Client
from postroom.policy.authenticator import Authenticator
from postroom.protocols.smtp.client import Speaker
from postroom.protocols.smtp.grammar import Reply
from postroom.protocols.smtp.rates import Rates, UserRates
from postroom.protocols.smtp.session import (
    Ask,
    Conversation,
    Meet,
    Read,
    Role,
    Routes,
    Screen,
    Session,
    SignIn,
    Work,
    Write,
)
from postroom.protocols.smtp.settings import Settings
from postroom.protocols.smtp.spool import Room, Spool
from postroom.protocols.smtp.turnstile import Turnstile
from postroom.storage.engine import Store

__all__ = ["Settings", "SmtpServer"]

CONNECTIONS = Gauge("postroom_smtp_connections", "Open connections", ["role"])
log = structlog.get_logger("postroom.smtp")

_SMALL = 32 * 1024
"""Octets of a message that is parsed at once: a third of a millisecond at most, and a thread would take longer to wake."""
_HANDSHAKE = 30.0
_TICK = 1.0


class SmtpServer:
    """All clients of one port. `role` is `mx` for strangers or `submission` for our users."""

    def __init__(
        self,
        role: str,
        *,
        store: Store,
        authenticator: Authenticator | None = None,
        settings: Settings | None = None,
        tls: ssl.SSLContext | None = None,
        terms: Terms = USUAL,
        screening: Screening | None = None,
    ) -> None:
        self.role = Role(role)
        self.store = store
        self.authenticator = authenticator
        self.settings = settings or Settings()
        self.tls = tls
        self.terms = terms
        self.screening = screening or Screening()
        if tls is not None and tls.minimum_version < ssl.TLSVersion.TLSv1_2:
            tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self.routes = Routes()
        self.room = Room(self.settings)
        self.turnstile = Turnstile(self.settings)
        self.rates = Rates(self.settings, time.monotonic)
        self.user_rates = UserRates(self.settings, time.monotonic)
        self.clients: dict[Speaker, str] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self.closing = False
        self._delivery = Scales(self.settings.memory_for_delivery)
        self._ticking: asyncio.TimerHandle | None = None

    def connection(self, *, implicit_tls: bool = False) -> asyncio.Protocol:
        """Make the protocol of one connection; with `implicit_tls` it shakes hands first, unless the listener has."""
        return Speaker(self, implicit_tls=implicit_tls)

    async def close(self, grace: float) -> None:
        """Turn everybody away, but let messages that are being stored be answered within `grace` seconds."""
        self.closing = True
        for client in list(self.clients):
            client.shut()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), grace)
        for client in list(self.clients):
            client.abort()
        if self._ticking is not None:
            self._ticking.cancel()

    def session(self, client: Client) -> Session:
        """Make the session of a new client."""
        return Session(
            role=self.role,
            settings=self.settings,
            client=client,
            now=self.store.now,
            can_upgrade=self.tls is not None,
            open_spool=lambda head: Spool(self.room, head),
            routes=self.routes,
            terms=self.terms,
            rates=self.rates,
            user_rates=self.user_rates,
            place=self.turnstile.place(client.address),
            meets=self.role is Role.MX and self.screening.filters.meets,
            greylisting=self.screening.filters.greylisting if self.role is Role.MX else None,
        )

    @property
    def stressed(self) -> bool:
        """Say whether connections are scarce."""
        return self.turnstile.stressed

    def enter(self, speaker: Speaker, address: str) -> Reply | None:
        """Count a connection in; give the refusal when there are too many."""
        place = self.turnstile.place(address)
        if self.closing:
            return Reply(421, "4.3.2", f"{self.settings.hostname} is shutting down")
        if not self.rates.connect(place):
            return Reply(421, "4.7.0", "Too many connections from your network; try later")
        refusal = self.turnstile.enter(place)
        if refusal is None:
            self.clients[speaker] = place
            self._empty.clear()
            CONNECTIONS.labels(self.role).inc()
            if self._ticking is None:
                self._ticking = asyncio.get_running_loop().call_later(_TICK, self._tick)
        return refusal

    def leave(self, speaker: Speaker) -> None:
        """Count a connection out."""
        place = self.clients.pop(speaker, None)
        if place is not None:
            self.turnstile.leave(place)
            CONNECTIONS.labels(self.role).dec()
        if not self.clients:
            self._empty.set()

    async def attend(self, speaker: Speaker, session: Session, conversation: Conversation, ask: Ask) -> None:
        """Answer a command until it has replied."""
        next_ask: Ask | None = ask
        while next_ask is not None:
            value, error = None, None
            try:
                value = await self._answer(session, next_ask)
            except Exception as failure:
                error = failure
            next_ask = speaker.proceed(conversation, value, error)

    async def _answer(self, session: Session, ask: Ask) -> Any:
        match ask:
            case Read(scope, function, arguments):
                return await self.store.look(scope, function, *arguments)
            case Write(scope, function, arguments):
                return await self.store.transact(scope, function, *arguments)
            case Work(function, arguments, weight) if weight <= _SMALL:
                return function(self.store, *arguments)
            case Work(function, arguments, weight):
                async with self._delivery.hold(weight):
                    return await self.store.run(function, self.store, *arguments)
            case Screen(arrival, weight):
                async with self._delivery.hold(weight):
                    return await self.screening.assess(arrival)
            case Meet(address):
                return await self.screening.meet(address)
            case SignIn(credentials) if self.authenticator is not None:
                return await self.authenticator.authenticate(credentials, session.client)
            case _:
                raise domain_errors.Unsupported()

    async def shake_hands(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> asyncio.Transport | None:
        """Encrypt a connection; None when that fails."""
        assert self.tls is not None
        try:
            return await asyncio.get_running_loop().start_tls(
                transport, protocol, self.tls, server_side=True, ssl_handshake_timeout=_HANDSHAKE
            )
        except (OSError, RuntimeError) as trouble:
            log.debug("tls_failed", reason=str(trouble))
            return None

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for client in list(self.clients):
            client.check_deadline(now)
        self._ticking = loop.call_later(_TICK, self._tick) if self.clients else None
