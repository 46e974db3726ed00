"""Fetches a domain's MTA-STS policy over HTTPS (RFC 8461 §3.3).

The domain is chosen by whoever its mail is for, so its policy host is asked with care: at addresses of the Internet only, under a valid
certificate, for one page of plain text of a bounded size and in a bounded time; no redirect is followed.
"""

import asyncio
import ipaddress
import ssl

import httptools

from postroom.formats import sts_policy
from postroom.formats.sts_policy import StsPolicy
from postroom.mailflow.outbound import trust
from postroom.mailflow.outbound.sts_settings import Settings
from postroom.mailflow.outbound.tls_outcome import Result
from postroom.mailflow.resolver import NoAnswer, NoSuchName, Resolver
from postroom.policy.internet import permitted

PATH = "/.well-known/mta-sts.txt"
_HEAD_OCTETS = 16_384
_MOST_ADDRESSES = 3
_PIECE = 16_384


class Failed(Exception):
    """There is no policy to be had; `result` is a word of RFC 8460 §4.3."""

    def __init__(self, result: Result, details: str) -> None:
        super().__init__(details)
        self.result = result
        self.details = details[:300]


async def fetch(domain: str, resolver: Resolver, settings: Settings) -> StsPolicy:
    """Fetch and read the policy of a domain; raises `Failed`."""
    host = f"mta-sts.{domain}"
    try:
        async with asyncio.timeout(settings.seconds):
            raw = await _first(host, await _addresses(host, resolver, settings), settings)
    except TimeoutError:
        raise Failed("sts-policy-fetch-error", f"{host} takes longer than {settings.seconds:g} seconds") from None
    try:
        return sts_policy.parse(raw)
    except ValueError as error:
        raise Failed("sts-policy-invalid", f"{host}: {error}") from None


async def _addresses(host: str, resolver: Resolver, settings: Settings) -> list[str]:
    try:
        found = await resolver.addresses(host)
    except (NoSuchName, NoAnswer) as error:
        raise Failed("sts-policy-fetch-error", str(error)) from None
    asked = [address for address in found if permitted(ipaddress.ip_address(address), private=settings.private_addresses)]
    if not asked:
        raise Failed("sts-policy-fetch-error", f"{host} has no address{' that may be asked' if found else ''}")
    return asked[:_MOST_ADDRESSES]


async def _first(host: str, addresses: list[str], settings: Settings) -> bytes:
    """Get the page from the first address that answers; raises `Failed`, `TimeoutError`."""
    failed: Failed | None = None
    for address in addresses:
        try:
            return await _get(host, address, settings)
        except ssl.SSLCertVerificationError as error:
            failed = Failed("sts-webpki-invalid", f"{host}: {error.verify_message}")
        except (OSError, EOFError) as error:
            failed = Failed("sts-policy-fetch-error", f"{host} at {address}: {str(error) or type(error).__name__}")
    assert failed is not None
    raise failed


async def _get(host: str, address: str, settings: Settings) -> bytes:
    context = trust.verifying(settings.ca)
    async with asyncio.timeout(settings.seconds / _MOST_ADDRESSES):
        reader, writer = await asyncio.open_connection(address, settings.port, ssl=context, server_hostname=host)
    try:
        port = "" if settings.port == 443 else f":{settings.port}"
        request = f"GET {PATH} HTTP/1.1\r\nHost: {host}{port}\r\nAccept: text/plain\r\nUser-Agent: Postroom\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        return await _page(host, reader)
    finally:
        writer.transport.abort()


async def _page(host: str, reader: asyncio.StreamReader) -> bytes:
    """Read the answer; raises `Failed` unless it is a policy's by status, type and size."""
    page, taken = _Page(), 0
    parser = httptools.HttpResponseParser(page)
    while not page.whole:
        piece = await reader.read(_PIECE)
        if not piece:
            page.end()
            break
        taken += len(piece)
        if taken > _HEAD_OCTETS + 2 * sts_policy.MAX_SIZE:
            raise Failed("sts-policy-invalid", f"{host} answers too much")
        try:
            parser.feed_data(piece)
        except httptools.HttpParserError as error:
            raise Failed("sts-policy-fetch-error", f"{host} does not answer as HTTP does: {error}") from None
        if page.begun and parser.get_status_code() != 200:
            raise Failed("sts-policy-fetch-error", f"{host} answers {parser.get_status_code()}")
    if page.kind != "text/plain":
        raise Failed("sts-policy-invalid", f"{host} answers in {page.kind or 'no type'}, not text/plain")
    return bytes(page.body)


class _Page:
    """What the parser says of an answer."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.kind = ""
        self.begun = self.whole = False
        self._bounded = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        if name.lower() == b"content-type":
            self.kind = value.decode("latin-1").partition(";")[0].strip().lower()
        self._bounded |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self.begun = True

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """The body has ended."""
        self.whole = True

    def end(self) -> None:
        """The connection has ended, and with it a body of no given length; raises `EOFError` where more was to come."""
        if not self.begun or self._bounded:
            raise EOFError("the answer breaks off")
