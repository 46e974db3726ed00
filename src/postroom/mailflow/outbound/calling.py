"""Calls a server: connects, greets, and encrypts as is demanded.

Where nothing is demanded, encryption is taken wherever it is offered, with any certificate: a listener on the wire
reads nothing, and a peer with a bad certificate is no worse than one with none. Where that fails the host is tried
again in plain. Where a policy demands more, no connection that has less is used.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiosmtplib
from aiosmtplib import SMTPException

from postroom.mailflow import verdicts
from postroom.mailflow.outbound import dane, trust
from postroom.mailflow.outbound.demand import Demand, Step
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.outbound.tls_outcome import Result
from postroom.mailflow.verdicts import Verdict

TROUBLE = (SMTPException, OSError, ValueError)
Note = Callable[[Result, str, str], None]
"""Hears how the encryption came out: the result, details, and our own address."""
_EXPIRED, _MISMATCH = {9, 10}, {62, 64}  # what OpenSSL calls them


@dataclass(frozen=True, slots=True)
class Place:
    """Where to call."""

    host: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Line:
    """A server that has been greeted; `tls` is version, cipher and how its certificate was verified, empty in plain."""

    client: aiosmtplib.SMTP
    tls: str
    verified: bool = False


class NotEncrypted(SMTPException):
    """The encryption that was wanted did not come about."""

    def __init__(self, result: Result, details: str) -> None:
        super().__init__(details)
        self.result = result
        self.details = details


async def call(settings: Settings, place: Place, demand: Demand, note: Note) -> Line:
    """Call by the steps of a demand until one comes about; raises one of `TROUBLE`, for `trouble` to judge."""
    first = demand.steps[0]
    for step in demand.steps:
        dialled = await _dial(place, settings.connect_timeout)
        ours = dialled.getsockname()[0]
        client = _client(settings, place, demand, step)
        try:
            line = await _greeted(settings, client, dialled, place, demand, step)
        except NotEncrypted as error:
            client.close()
            if step == first:
                note(error.result, error.details, ours)
            if step == demand.steps[-1]:
                raise
        except BaseException:
            client.close()
            raise
        else:
            if step == first and step != "none":
                note(*((demand.flaw, demand.remark) if line.tls else ("starttls-not-supported", "STARTTLS is not offered")), ours)
            return line
    raise AssertionError("a demand has steps")


def trouble(error: Exception, host: str) -> Verdict:
    """Judge a conversation that broke off: whatever it was, another time it may go better."""
    if isinstance(error, NotEncrypted):
        return verdicts.deferred("4.7.4" if error.result == "starttls-not-supported" else "4.7.5", f"{host}: {error.details}", host)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return verdicts.deferred("4.3.0", f"{error.code} {error.message}", host)
    if isinstance(error, aiosmtplib.SMTPTimeoutError | TimeoutError):
        return verdicts.deferred("4.4.2", f"{host} takes too long", host)
    return verdicts.deferred("4.4.1", f"{host}: {getattr(error, 'message', error)}", host)


async def _greeted(settings: Settings, client: aiosmtplib.SMTP, dialled: socket.socket, place: Place, demand: Demand, step: Step) -> Line:
    await client.connect(sock=dialled)
    await _greet(client, settings)
    if step in {"none", "implicit"}:
        return Line(client, _described(client, "pkix"), verified=step == "implicit")
    if not client.supports_extension("starttls"):
        if step == "offered":
            return Line(client, "")
        raise NotEncrypted("starttls-not-supported", "TLS is required and not offered")
    try:
        await client.starttls(server_hostname=place.host, timeout=settings.greeting_timeout)
    except TROUBLE as error:
        raise NotEncrypted(_flaw(error), f"TLS failed: {getattr(error, 'message', error)}") from error
    if step == "dane":
        _judge(client, demand)
    await _greet(client, settings)
    verified = step in {"dane", "pkix"}
    return Line(client, _described(client, demand.by if verified else "unverified"), verified)


def _judge(client: aiosmtplib.SMTP, demand: Demand) -> None:
    result = dane.judge(demand.records, _shown(client.get_transport_info("ssl_object")), demand.names, datetime.now(UTC))
    if result:
        raise NotEncrypted(result, f"The certificate is not what the TLSA records say: {result}")


def _shown(encrypted: Any) -> list[bytes]:
    """Give the certificates that a server showed, its own first."""
    if hasattr(encrypted, "get_unverified_chain"):  # from Python 3.13 on
        return list(encrypted.get_unverified_chain())
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in encrypted._sslobj.get_unverified_chain() or ()]


def _described(client: aiosmtplib.SMTP, verified: str) -> str:
    encrypted = client.get_transport_info("ssl_object")
    return "" if encrypted is None else f"{encrypted.version()} {encrypted.cipher()[0]} {verified}"


def _flaw(error: BaseException) -> Result:
    """Name what went wrong, as reports do (RFC 8460 §4.3)."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return "starttls-not-supported"
    if not isinstance(error, ssl.SSLCertVerificationError):
        return "validation-failure"
    if error.verify_code in _EXPIRED:
        return "certificate-expired"
    return "certificate-host-mismatch" if error.verify_code in _MISMATCH else "certificate-not-trusted"


class _NamedContext(ssl.SSLContext):
    """A TLS context that asks for and checks a name of its own, not the address that was dialled."""

    name: str

    def wrap_bio(self, *args: Any, **values: Any) -> ssl.SSLObject:
        """Begin a handshake."""
        return super().wrap_bio(*args, **{**values, "server_hostname": self.name})


def _context(place: Place, demand: Demand, step: Step) -> ssl.SSLContext:
    if step == "implicit":
        return _named(place.host, demand.authorities)
    return trust.verifying(demand.authorities) if step == "pkix" else trust.unverifying()


def _named(name: str, authorities: str) -> ssl.SSLContext:
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.name = name
    return trust.tighten(context, authorities)


def _client(settings: Settings, place: Place, demand: Demand, step: Step) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=place.address,
        local_hostname=settings.hostname,
        timeout=settings.greeting_timeout,
        use_tls=step == "implicit",
        start_tls=False,
        tls_context=_context(place, demand, step),
    )


async def _dial(place: Place, patience: float) -> socket.socket:
    """Connect to an address; a server may take longer to greet than to answer the call (RFC 5321 §4.5.3.2.1)."""
    dialled = socket.socket(socket.AF_INET6 if ":" in place.address else socket.AF_INET, socket.SOCK_STREAM)
    dialled.setblocking(False)
    try:
        async with asyncio.timeout(patience):
            await asyncio.get_running_loop().sock_connect(dialled, (place.address, place.port))
    except BaseException:
        dialled.close()
        raise
    return dialled


async def _greet(client: aiosmtplib.SMTP, settings: Settings) -> None:
    """Say EHLO, or HELO to a server that knows no better."""
    try:
        await client.ehlo(timeout=settings.greeting_timeout)
    except aiosmtplib.SMTPHeloError:
        await client.helo(timeout=settings.greeting_timeout)
