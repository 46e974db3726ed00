"""far.test, a domain elsewhere: its one server, what DNS says of it, and calls to it."""

import hashlib
import ssl

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from postroom.mailflow.outbound.demands import Demands
from postroom.mailflow.outbound.dialling import Dialler
from postroom.mailflow.outbound.link import Link
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.outbound.tls_outcome import TlsOutcome
from postroom.mailflow.resolver import Resolver
from postroom.mailflow.verdicts import Verdict
from tests.dns import NameServer
from tests.mailflow.conftest import OpenElsewhere


class Far:
    """far.test, whose one server shows a certificate for a name of its own choice."""

    def __init__(self, dns: NameServer, open_elsewhere: OpenElsewhere) -> None:
        self.dns = dns
        self._open = open_elsewhere
        self.authority = trustme.CA()
        self.port = 0

    async def serve(self, name: str = "mx.far.test", *, tls: bool = True) -> None:
        """Listen."""
        self.leaf = self.authority.issue_cert(name)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.leaf.configure_cert(context)
        elsewhere = await self._open(smtp={"tls_context": context if tls else None})
        self.port = elsewhere.port
        self.dns.host("far.test")
        self.dns.proved.add("far.test")

    def key(self) -> str:
        """Give the digest of the server's key."""
        key = load_pem_private_key(self.leaf.private_key_pem.bytes(), None).public_key()
        return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()

    def issuer(self) -> str:
        """Give the digest of the authority's certificate."""
        root = x509.load_pem_x509_certificate(self.authority.cert_pem.bytes())
        return hashlib.sha256(root.public_bytes(Encoding.DER)).hexdigest()

    def name(self, *records: str) -> None:
        """Publish TLSA records."""
        self.dns.add(f"_{self.port}._tcp.mx.far.test", "TLSA", *records)

    def resolver(self) -> Resolver:
        """Give a resolver that remembers nothing yet."""
        return Resolver([f"127.0.0.1:{self.dns._transport.get_extra_info('sockname')[1]}"], lifetime=2.0)

    async def dial(
        self, demands: Demands | None = None, domain: str = "far.test", *, smarthost: str = "", anyhow: bool = False
    ) -> tuple[Link | Verdict, list[TlsOutcome]]:
        """Open a connection, to a domain or a smarthost; gives it, closed again, or the verdict, and how the encryption came out."""
        heard: list[TlsOutcome] = []
        values = Settings(hostname="mx.example.test", port=self.port, greeting_timeout=5, smarthost=smarthost)
        dialler = Dialler(values, self.resolver(), now=lambda: 7.0, demands=demands, outcomes=heard.append)
        opened = await (dialler.to_domain(domain, anyhow=anyhow) if not smarthost else dialler.to_smarthost())
        if isinstance(opened, Link):
            await opened.quit()
        return opened, heard
