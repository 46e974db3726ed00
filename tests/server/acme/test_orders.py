"""Certificates from a real authority, Pebble, over real doors: issued, renewed, refused."""

from __future__ import annotations

import asyncio
import json
import ssl
import stat
import subprocess
import threading
import time
from contextlib import asynccontextmanager

import msgspec
import pytest
from cryptography import x509
from structlog.testing import capture_logs

from postroom.server import certificates, configuration
from postroom.server.acme import challenges, keys, pacing
from postroom.server.acme.account import Refused
from postroom.server.acme.challenges import Answering
from postroom.server.acme.folder import Folder
from postroom.server.acme.ordering import Authority
from postroom.server.acme.orders import Orders
from postroom.server.acme.renewal import Busy, Renewal
from postroom.server.chosen import Chosen
from postroom.server.endpoints import Endpoint
from postroom.server.http import HttpServer
from postroom.server.listeners import Door, open_all
from postroom.server.presented import Presented
from postroom.server.web.site import Site
from postroom.storage.engine import REGISTRY
from postroom.storage.queries import leases
from tests.server.acme import pebble

NAMES = ("mail.lab.test", "mta-sts.example.test", "other.lab.test")


EMBEDDED = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
"""For tests that are not about the store."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    with pebble.running(tmp_path_factory.mktemp("pebble"), names=NAMES) as running:
        yield running


def configured(folder, authority, extra="", names=("mail.lab.test",), web=""):
    web = web or f'listen = ["127.0.0.1:{authority.http}"]\nlisten_tls = ["127.0.0.1:{authority.tls}"]'
    return configuration.parse(
        f"""
data = "{folder}/data"
[mail]
hostname = "mail.lab.test"
[dns]
nameservers = ["127.0.0.1:{authority.nameserver.port}"]
[web]
{web}
[tls.acme]
enabled = true
agree_to_terms = true
directory = "{authority.directory}"
ca = "{authority.ca}"
email = "admin@lab.test"
names = {json.dumps(names)}
{extra}
""",
        folder,
    )


@asynccontextmanager
async def serving(settings):
    """The doors as the program opens them; gives what is presented."""
    folder = Folder(configuration.Path(settings.data))
    folder.make()
    shown = Presented(Chosen(settings))
    answering = Answering(shown, folder)
    server = HttpServer(Site(challenges.routes(folder), secure_port=None))
    port = [int(text.rpartition(":")[2]) for text in (settings.web.listen[0], settings.web.listen_tls[0])]
    opened = await open_all(
        [Door("web", server, Endpoint("127.0.0.1", port[0])), Door("web_tls", server, Endpoint("127.0.0.1", port[1]), answering.context)]
    )
    try:
        yield shown, answering
    finally:
        for listener in opened:
            listener.close()
        await server.close(0.1)


def shown_to(port, name, *options):
    """Give the certificate that OpenSSL's client is shown."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, *options]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False)
    return x509.load_pem_x509_certificate(done.stdout[done.stdout.index(b"-----BEGIN CERT") :])


async def asked(port, name, *options):
    return await asyncio.to_thread(shown_to, port, name, *options)


@EMBEDDED
@pytest.mark.parametrize(
    ("challenge", "extra"), [("http-01", 'key_type = "rsa-2048"'), ("tls-alpn-01", "reuse_key = true")], ids=["http-01", "tls-alpn-01"]
)
async def test_a_certificate_is_issued_shown_and_renewed(store, tmp_path, authority, challenge, extra):
    settings = configured(tmp_path, authority, f'challenge = "{challenge}"\n{extra}')
    orders = Orders(settings, store)
    async with serving(settings) as (shown, _):
        renewal = Renewal(orders, shown.look)
        assert "Postroom" in (await asked(authority.tls, "mail.lab.test")).issuer.rfc4514_string()
        await renewal.look()
        first = await asked(authority.tls, "mail.lab.test")
        assert "Pebble" in first.issuer.rfc4514_string()
        assert await asked(authority.tls, "who.ever") == first  # the host's own is the default
        client = ssl.create_default_context(cafile=authority.root(tmp_path))
        reader, writer = await asyncio.open_connection("127.0.0.1", authority.tls, ssl=client, server_hostname="mail.lab.test")
        await renewal.look()
        assert await asked(authority.tls, "mail.lab.test") == first  # nothing is due
        with orders.alone() as taken:
            assert taken
            await asyncio.to_thread(orders.order, "mail.lab.test", asked=True)
        await shown.look()
        second = await asked(authority.tls, "mail.lab.test")
        assert second.serial_number != first.serial_number
        assert (second.public_key() == first.public_key()) is settings.tls.acme.reuse_key
        writer.write(b"GET / HTTP/1.1\r\nHost: mail.lab.test\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 404")
        writer.close()
    acme = tmp_path / "data" / "acme"
    assert [path for path in acme.rglob("*") if path.is_file() and stat.S_IMODE(path.stat().st_mode) != 0o600] == []
    assert [path for path in acme.rglob("*") if path.is_dir() and stat.S_IMODE(path.stat().st_mode) != 0o700] == []
    assert list((acme / "challenges").iterdir()) == []
    assert len(list((acme / "issued" / "mail.lab.test").iterdir())) == 1


@EMBEDDED
async def test_what_cannot_be_proved_is_told_and_the_old_certificate_stays(store, tmp_path, authority):
    settings = configured(tmp_path, authority)
    moments = [0.0]
    orders = Orders(settings, store, now=lambda: moments[0])
    async with serving(settings) as (shown, _):
        moments[0] = time.time()
        await Renewal(orders, shown.look).look()
        first = await asked(authority.tls, "mail.lab.test")
    other = configured(tmp_path, authority, web='listen = ["127.0.0.1:1"]')
    orders = Orders(other, store, now=lambda: moments[0])
    moments[0] += 61 * 86_400.0  # two thirds of 90 days
    with capture_logs() as logs:
        await Renewal(orders, shown.look).look()
    (told,) = [entry for entry in logs if entry["event"] == "certificate_not_issued"]
    assert told["reason"].startswith("http-01: connection: ")
    assert told["days_left"] == pytest.approx(29, abs=0.1)
    assert 900 <= told["again_in_seconds"] <= 900 * 1.25
    assert shown.default == Folder(tmp_path / "data").files("mail.lab.test")
    assert orders.due() == []
    assert first.serial_number == x509.load_pem_x509_certificate(shown.default.certificate.read_bytes()).serial_number
    with pytest.raises(Refused), orders.alone():
        orders.order("mail.lab.test", asked=True)
    assert pacing.load(Folder(tmp_path / "data").orders).of("mail.lab.test").failures == 2
    moments[0] += 1800 * 1.25 + 1
    assert orders.due() == ["mail.lab.test"]


@EMBEDDED
async def test_an_account_elsewhere_is_bound_and_one_that_the_authority_forgot_is_made_again(store, tmp_path):
    secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    (tmp_path / "hmac").write_text(secret + "\n")
    with pebble.running(tmp_path / "pebble", names=NAMES, binding={"kid-1": secret}) as authority:
        settings = configured(tmp_path, authority)
        async with serving(settings):
            with pytest.raises(Refused, match="external_account_id"), Orders(settings, store).alone():
                await asyncio.to_thread(Orders(settings, store).order, "mail.lab.test")
            bound = configured(tmp_path, authority, 'external_account_id = "kid-1"\nexternal_account_key_file = "hmac"')
            await asyncio.to_thread(Orders(bound, store).order, "mail.lab.test", asked=True)
            first = Folder(tmp_path / "data").files("mail.lab.test").certificate.read_bytes()
            path = Folder(tmp_path / "data").account(authority.directory) / "account.json"
            for address in ("admin@lab.test", "former@lab.test"):
                path.write_text(json.dumps({"uri": authority.directory.replace("/dir", "/my-account/ffff"), "email": address}))
                (path.parent / "key.pem").unlink()
                with pytest.raises(Refused):
                    await asyncio.to_thread(Orders(bound, store).order, "mail.lab.test", asked=True)
            await asyncio.to_thread(Orders(bound, store).order, "mail.lab.test", asked=True)
    assert Folder(tmp_path / "data").files("mail.lab.test").certificate.read_bytes() != first


@EMBEDDED
async def test_an_account_is_made_once_and_told_of_a_new_address(store, tmp_path, authority):
    folder = Folder(tmp_path / "data")
    chain = certificates.local(tmp_path / "any", ["a.test"]).certificate.read_bytes()
    uris = []
    for address in ("admin@lab.test", "other@lab.test", "", ""):
        settings = msgspec.structs.replace(configured(tmp_path, authority).tls.acme, email=address)
        assert (await asyncio.to_thread(Authority(settings, folder, threading.Event()).renewal, chain))[0] is None
        account = json.loads((folder.account(authority.directory) / "account.json").read_bytes())
        assert account["email"] == address
        uris.append(account["uri"])
    assert len(set(uris)) == 1
    (folder.account(authority.directory) / "account.json").unlink()  # the key is enough to find it again
    await asyncio.to_thread(Authority(settings, folder, threading.Event()).renewal, chain)
    assert json.loads((folder.account(authority.directory) / "account.json").read_bytes())["uri"] == uris[0]


@EMBEDDED
async def test_an_authority_that_nobody_vouches_for_is_not_asked(store, tmp_path, authority):
    settings = configured(tmp_path, authority)
    strict = msgspec.structs.replace(settings.tls.acme, ca="")
    orders = Orders(msgspec.structs.replace(settings, tls=msgspec.structs.replace(settings.tls, acme=strict)), store)
    with pytest.raises(Refused, match="CERTIFICATE_VERIFY_FAILED|certificate verify failed"), orders.alone():
        await asyncio.to_thread(orders.order, "mail.lab.test")


async def test_one_process_orders_at_a_time(store, neighbour, tmp_path, authority):
    settings = configured(tmp_path, authority)
    with neighbour.transaction(REGISTRY) as tx:
        assert leases.take(tx, "certificates", "another:1", 300.0)
    async with serving(settings) as (shown, _):
        with pytest.raises(Busy):
            await Renewal(Orders(settings, store), shown.look).look()
        assert Folder(tmp_path / "data").files("mail.lab.test") is None
        with neighbour.transaction(REGISTRY) as tx:
            leases.release(tx, "certificates", "another:1")
        await Renewal(Orders(settings, store), shown.look).look()
    assert Folder(tmp_path / "data").files("mail.lab.test")


async def test_names_are_found_by_themselves_when_they_lead_here(store, organization, tmp_path, authority):
    settings = configured(tmp_path, authority, names=())
    orders = Orders(settings, store)
    assert set(orders.wanted()) == {
        "mail.lab.test", "mta-sts.example.test", "autodiscover.example.test", "mta-sts.example.postroom.test", "autodiscover.example.postroom.test",
    }  # fmt: skip
    assert sorted(orders.due()) == ["mail.lab.test", "mta-sts.example.test"]
    authority.nameserver.zone["mta-sts.example.test", "A"].append("127.0.0.2")
    try:
        assert orders.due() == ["mail.lab.test"]
    finally:
        authority.nameserver.zone["mta-sts.example.test", "A"].pop()


@EMBEDDED
async def test_who_offers_no_challenge_protocol_is_shown_what_it_always_is(tmp_path, authority, store):
    settings = configured(tmp_path, authority)
    folder = Folder(tmp_path / "data")
    async with serving(settings) as (_, answering):
        usual = await asked(authority.tls, "mail.lab.test")
        folder.pose(challenges.in_handshake("mail.lab.test"), keys.answering("mail.lab.test", "token.thumbprint"))
        assert await asked(authority.tls, "mail.lab.test") == usual
        assert await asked(authority.tls, "mail.lab.test", "-alpn", "http/1.1") == usual
        answer = await asked(authority.tls, "MAIL.lab.test", "-alpn", "acme-tls/1")
        assert answer.extensions.get_extension_for_oid(keys.ACME_IDENTIFIER).critical
        assert await asked(authority.tls, "other.lab.test", "-alpn", "acme-tls/1") == usual
        answering._attentive = False  # a Python that does not say what was offered
        assert await asked(authority.tls, "mail.lab.test") == answer
        assert await asked(authority.tls, "other.lab.test") == usual
        answering._attentive = True
        folder.withdraw(challenges.in_handshake("mail.lab.test"))
        assert await asked(authority.tls, "mail.lab.test", "-alpn", "acme-tls/1") == usual
