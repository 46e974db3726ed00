"""One conversation with another server, over aiosmtplib.

An 8-bit body is never sent to a server without 8BITMIME (RFC 6152 §3): it has been written with seven bits before, or else
fails with 5.6.3. Nor are addresses and headers that need SMTPUTF8 sent to a server without it (RFC 6531 §3.5): that copy
fails with 5.6.7. So does one that demands REQUIRETLS where the server does not promise it, or is not known to be who it
should be (5.7.30, RFC 8689 §4.2.1).
"""

import asyncio
import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponse

from postroom.formats import seven_bit
from postroom.formats.headers import header_block
from postroom.mailflow import verdicts
from postroom.mailflow.outbound.calling import TROUBLE, Line, Note, Place, call, trouble
from postroom.mailflow.outbound.demand import Demand
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.queue import Copy, Parcel
from postroom.mailflow.verdicts import Fate, Verdict
from postroom.model.addresses import domain_key

Results = list[tuple[Copy, Verdict]]
_BLOCK = 64 * 1024
_LONE = re.compile(rb"(?<!\r)\n|\r(?!\n)")


class Stale(Exception):
    """A server has had enough of a connection; it may take mail over a new one."""


class Link:
    """One connection to another server, greeted and, where that is possible, encrypted."""

    def __init__(self, line: Line, host: str, settings: Settings) -> None:
        client = line.client
        assert client.protocol is not None
        self._client = client
        self._protocol = client.protocol
        # waits for room on the wire; it closes the connection when it goes, and so must last as long
        transport = cast("asyncio.WriteTransport", client.transport)
        self._writer = asyncio.StreamWriter(transport, client.protocol, None, asyncio.get_running_loop())
        self._settings = settings
        self.host = host
        self.tls = line.tls
        self.confirms = client.supports_extension("dsn")
        self._takes_care = line.verified and client.supports_extension("requiretls")
        self.sent = 0

    @property
    def alive(self) -> bool:
        """Say whether the connection stands."""
        return self._client.is_connected

    @property
    def eight_bit(self) -> bool:
        """Say whether the server takes bodies of eight bits."""
        return self._client.supports_extension("8bitmime")

    @classmethod
    async def open(cls, settings: Settings, place: Place, demand: Demand, note: Note, *, smarthost: bool) -> "Link | Verdict":
        """Call, encrypt as is demanded, and sign in if asked to; a verdict when this host will not do."""
        try:
            line = await call(settings, place, demand, note)
        except TROUBLE as error:
            return trouble(error, place.host)
        if smarthost and settings.smarthost_user:
            try:
                await _sign_in(line.client, settings)
            except TROUBLE as error:
                line.client.close()
                return trouble(error, place.host)
        if not smarthost and _is_ourselves(line.client, settings):
            line.client.close()
            return verdicts.failed("5.4.6", f"{place.host} is this server itself", place.host)
        return cls(line, place.host, settings)

    async def send(self, parcel: Parcel, raw: bytes) -> Results:
        """Send a message in one transaction, and say how the connection was encrypted; it is closed when it went wrong.

        Raises `Stale` when a connection that has been used before takes no more mail; nothing has been sent then.
        """
        results = await self._transact(parcel, raw)
        return [(copy, replace(verdict, tls=self.tls, confirms=self.confirms)) for copy, verdict in results]

    async def _transact(self, parcel: Parcel, raw: bytes) -> Results:
        if parcel.require_tls and not self._takes_care:
            verdict = verdicts.failed("5.7.30", "REQUIRETLS support required", self.host)
            return [(copy, verdict) for copy in parcel.copies]
        foreign = self._foreign(parcel, raw)
        copies = [copy for copy in parcel.copies if copy not in foreign]
        results = [(copy, verdicts.failed("5.6.7", "The next server does not take internationalized mail", self.host)) for copy in foreign]
        if not self.eight_bit and not seven_bit.is_ascii(raw):
            refused = verdicts.failed("5.6.3", "The next server takes no bodies of eight bits, and this one has no other form", self.host)
            return results + [(copy, refused) for copy in copies]
        if not copies:
            return results
        used, self.sent = self.sent > 0, self.sent + 1
        try:
            refusal = await self._mail(parcel, copies, raw)
        except TROUBLE as error:
            self._client.close()
            if used:
                raise Stale from error
            return results + [(copy, trouble(error, self.host)) for copy in copies]
        if refusal is None:
            return results + await self._send(copies, raw)
        with contextlib.suppress(*TROUBLE):
            await self._client.rset(timeout=self._settings.greeting_timeout)
        return results + [(copy, refusal) for copy in copies]

    def _foreign(self, parcel: Parcel, raw: bytes) -> list[Copy]:
        """List the copies that need SMTPUTF8 where the server does not have it (RFC 6531 §3.5)."""
        if not parcel.international or self._client.supports_extension("smtputf8"):
            return []
        return [copy for copy in parcel.copies if _needs_smtputf8(parcel, (copy,), raw)]

    async def _send(self, copies: Sequence[Copy], raw: bytes) -> Results:
        """Name the recipients and send the message to those who are taken."""
        results: Results = []
        taken: list[Copy] = []
        arrived = False
        try:
            for copy in copies:
                verdict = await self._rcpt(copy)
                if verdict.fate is Fate.DELIVERED:
                    taken.append(copy)
                else:
                    results.append((copy, verdict))
            if taken:
                verdict = await self._data(raw)
                arrived = verdict.fate is Fate.DELIVERED
                results += [(copy, verdict) for copy in taken]
            if not arrived:
                # a server that refuses DATA itself keeps the transaction, and would refuse the next MAIL for it
                await self._client.rset(timeout=self._settings.greeting_timeout)
        except TROUBLE as error:
            self._client.close()
            known = {copy.number for copy, _ in results}
            ended = trouble(error, self.host)
            results += [(copy, ended) for copy in copies if copy.number not in known]
        return results

    async def quit(self) -> None:
        """Say goodbye."""
        if self.alive:
            with contextlib.suppress(SMTPException, OSError):
                await self._client.quit(timeout=5)
        self._client.close()

    async def _mail(self, parcel: Parcel, copies: Sequence[Copy], raw: bytes) -> Verdict | None:
        words = [b"FROM:<" + _path(parcel.sender) + b">"]
        if parcel.international and _needs_smtputf8(parcel, copies, raw):
            words.append(b"SMTPUTF8")
        if self._client.supports_extension("size"):
            words.append(b"SIZE=%d" % len(raw))
        if self.eight_bit and not raw.isascii():
            words.append(b"BODY=8BITMIME")
        if parcel.require_tls:
            words.append(b"REQUIRETLS")
        if self.confirms:
            words += [b"RET=" + parcel.returns.encode()] * bool(parcel.returns)
            words += [b"ENVID=" + parcel.envelope_id.encode()] * bool(parcel.envelope_id)
        response = await self._command(b"MAIL", *words)
        return None if response.code // 100 == 2 else verdicts.from_reply(response.code, response.message, self.host)

    async def _rcpt(self, copy: Copy) -> Verdict:
        words = [b"TO:<" + _path(copy.recipient) + b">"]
        if self.confirms:
            words += [b"NOTIFY=" + copy.wish.notify.encode()] * bool(copy.wish.notify)
            words += [b"ORCPT=" + copy.wish.original.encode()] * copy.wish.original.isascii() * bool(copy.wish.original)
        response = await self._command(b"RCPT", *words)
        if response.code == 552:  # too many recipients, in the old spelling (RFC 5321 §4.5.3.1.10)
            return verdicts.deferred("4.5.3", f"552 {response.message}", self.host)
        return verdicts.from_reply(response.code, response.message, self.host)

    async def _data(self, raw: bytes) -> Verdict:
        """Send the message, a block at a time as the server takes them, and hear what became of it."""
        response = await self._command(b"DATA")
        if response.code == 354:
            response = await self._pour(raw)
        elif response.code < 400:
            raise SMTPException(f"{response.code} to DATA, where 354 was due")
        return verdicts.from_reply(response.code, response.message, self.host)

    async def _pour(self, raw: bytes) -> SMTPResponse:
        """Write the content and its end while listening for the reply, which ends the writing when it comes early.

        Every block has its time and so has the reply after the last (RFC 5321 §4.5.3.2.5, §4.5.3.2.6).
        """
        replied = asyncio.get_running_loop().create_task(self._protocol.read_response())
        try:
            await asyncio.sleep(0)  # it listens before the first octet leaves: a reply that nobody waits for is thrown away
            with contextlib.suppress(ConnectionError, SMTPException):  # the reply may say why the connection went
                for block in _blocks(raw):
                    if replied.done():
                        break
                    self._protocol.write(block)
                    async with asyncio.timeout(self._settings.greeting_timeout):
                        await self._writer.drain()
            async with asyncio.timeout(self._settings.data_timeout):
                return await replied
        finally:
            replied.cancel()

    async def _command(self, *words: bytes) -> SMTPResponse:
        response = await self._client.execute_command(*words, timeout=self._settings.greeting_timeout)
        if response.code == 421:
            raise aiosmtplib.SMTPResponseException(response.code, response.message)
        return response


def _blocks(raw: bytes) -> Iterator[bytes]:
    """Cut a message at line ends, doubling dots that begin a line (RFC 5321 §4.5.2); no CR or LF goes out alone."""
    at, fresh = 0, True
    while at < len(raw):
        end = raw.rfind(b"\n", at, at + _BLOCK) + 1 or min(at + _BLOCK, len(raw))
        end -= raw[end - 1 : end + 1] == b"\r\n"
        block = _LONE.sub(b"\r\n", raw[at:end]).replace(b"\n.", b"\n..")
        yield b"." + block if fresh and block.startswith(b".") else block
        at, fresh = end, block.endswith(b"\n")
    yield b".\r\n" if fresh else b"\r\n.\r\n"


async def _sign_in(client: aiosmtplib.SMTP, settings: Settings) -> None:
    if client.get_transport_info("ssl_object") is None:
        raise SMTPException("No password is sent without TLS")
    await client.login(settings.smarthost_user, settings.smarthost_password, timeout=settings.greeting_timeout)


def _is_ourselves(client: aiosmtplib.SMTP, settings: Settings) -> bool:
    """Say whether the server greets with this server's own name."""
    response = client.last_ehlo_response
    words = response.message.split() if response else []
    return bool(words) and words[0].lower() == settings.hostname.lower() != "localhost"


def _needs_smtputf8(parcel: Parcel, copies: Sequence[Copy], raw: bytes) -> bool:
    locals_ = [address.rpartition("@")[0] for address in (parcel.sender, *(copy.recipient for copy in copies))]
    return not all(local.isascii() for local in locals_) or not header_block(raw).isascii()


def _path(address: str) -> bytes:
    """Write an address for the wire, its domain in A-labels: every server understands those (RFC 5891 §4.4)."""
    local, at, domain = address.rpartition("@")
    if at and not domain.isascii():
        address = f"{local}@{domain_key(domain)}"
    return address.encode()
