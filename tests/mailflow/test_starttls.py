"""What somebody on the wire says before the handshake is not taken for the server's word after it."""

import asyncio
import ssl

import trustme

from postroom.mailflow.outbound.calling import Place
from postroom.mailflow.outbound.demand import opportunistic
from postroom.mailflow.outbound.link import Link
from postroom.mailflow.outbound.settings import Settings


async def test_replies_put_before_the_handshake_are_dropped() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("mx.far.test").configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 far.test\r\n")
        await reader.readline()
        writer.write(b"250-far.test\r\n250 STARTTLS\r\n")
        await reader.readline()
        writer.write(b"220 go on\r\n250-far.test\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n")
        await writer.start_tls(context)
        while line := await reader.readline():
            writer.write(b"250-far.test\r\n250 SIZE\r\n" if line.startswith(b"EHLO") else b"221 bye\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = Settings(greeting_timeout=5)
    heard: list[tuple[str, str, str]] = []
    place = Place("mx.far.test", "127.0.0.1", port)
    link = await Link.open(settings, place, opportunistic("far.test"), lambda *noted: heard.append(noted), smarthost=False)
    try:
        assert isinstance(link, Link)
        assert link._client.get_transport_info("ssl_object") is not None
        assert heard == [("", "", "127.0.0.1")]
        assert set(link._client.esmtp_extensions) == {"size"}
        await link.quit()
    finally:
        server.close()
