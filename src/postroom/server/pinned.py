"""HTTPS to a host that a stranger has chosen: only addresses of the Internet, and the very address that was looked at is connected to.

The certificate must be the host's, and another thread can end it all.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postroom.policy.internet import permitted
from postroom.server.dns.lookups import Lookups, NoAnswer


class Unreachable(Exception):
    """There is no address that may be connected to; the text says why."""


class Pinned(http.client.HTTPSConnection):
    """A connection to one address of a host, which another thread can cut."""

    def __init__(self, host: str, port: int, address: str, tls: ssl.SSLContext, seconds: float) -> None:
        super().__init__(host, port, timeout=seconds, context=tls)
        self._address = address
        self._tls = tls
        self._over = False

    def connect(self) -> None:
        """Connect to the address, and speak TLS as with the host."""
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._over:
            raise TimeoutError("it took too long")
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock.do_handshake()

    def cut(self) -> None:
        """End it, whatever it waits for."""
        self._over = True
        if self.sock is not None:
            with suppress(OSError):  # it has ended by itself
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


@contextmanager
def until(connection: Pinned, seconds: float) -> Iterator[None]:
    """Close a connection at the end of the block, which it cannot outlast by more than the time."""
    ending = threading.Timer(seconds, connection.cut)
    ending.daemon = True
    ending.start()
    try:
        yield
    finally:
        ending.cancel()
        connection.close()


def address_of(host: str, lookups: Lookups, *, private: bool) -> str:
    """Find the address to connect to, or raise Unreachable; the answer of DNS is not asked for again."""
    try:
        found = [host] if _is_address(host) else lookups.records(host, "A") + lookups.records(host, "AAAA")
    except NoAnswer:
        raise Unreachable(f"No name server knows whether there is {host}.") from None
    for address in found:
        if permitted(ipaddress.ip_address(address), private=private):
            return address
    raise Unreachable(f"{host} has no address that may be asked." if found else f"{host} has no address.")


def reason(error: Exception) -> str:
    """Say what went wrong with a connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    return str(error) or type(error).__name__


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
