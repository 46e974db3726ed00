"""Which certificate a client is shown, asked with OpenSSL's own client over real sockets."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import threading

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from postroom.server import certificates
from postroom.server.presented import LIFETIMES, Choice, PairFolder, Presented


def issued(folder, *names):
    made = certificates.local(folder, names)
    return certificates.Files(made.certificate, made.key)


async def shown(context, *options):
    """Give the names of the certificate that `openssl s_client` is shown, and all it says."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options]
        done = await asyncio.to_thread(subprocess.run, command, input=b"", capture_output=True, timeout=20, check=False)
    said = done.stdout + done.stderr
    if b"BEGIN CERTIFICATE" not in done.stdout:
        return None, said
    found = x509.load_pem_x509_certificate(done.stdout[done.stdout.index(b"-----BEGIN") :])
    return found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)[0], said


@pytest.fixture
def served(tmp_path):
    named = {"one.test": issued(tmp_path / "one", "one.test"), "*.wild.test": issued(tmp_path / "wild", "*.wild.test")}
    return Presented(lambda: Choice(issued(tmp_path / "default", "default.test"), named))


@pytest.mark.parametrize(
    ("asked", "name"),
    [("one.test", "one.test"), ("ONE.TEST", "one.test"), ("a.wild.test", "*.wild.test"), ("a.b.wild.test", "default.test"),
     ("wild.test", "default.test"), ("other.test", "default.test"), ("", "default.test")],
)  # fmt: skip
async def test_a_client_is_shown_the_certificate_of_the_name_it_asks_for(served, asked, name):
    options = ["-servername", asked] if asked else ["-noservername"]
    for version in ("-tls1_2", "-tls1_3"):
        assert (await shown(served.context, version, *options))[0] == name


@pytest.mark.parametrize(
    "options",
    [["-tls1"], ["-tls1_1"], ["-tls1_2", "-cipher", "AES256-GCM-SHA384"], ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384"]],
)
@pytest.mark.parametrize("name", ["one.test", "default.test"])
async def test_old_versions_and_ciphers_without_aead_or_forward_secrecy_are_refused(served, options, name):
    assert (await shown(served.context, "-servername", name, *options, "-cipher", "ALL:@SECLEVEL=0") if len(options) == 1
            else await shown(served.context, "-servername", name, *options))[0] is None  # fmt: skip


async def test_what_changes_on_the_disk_is_shown_at_the_next_look_and_open_connections_stay(tmp_path):
    folder = tmp_path / "pairs"
    make_pair(folder / "a", tmp_path / "ca1", "one.test")
    found = PairFolder(folder)
    served = Presented(lambda: Choice(issued(tmp_path / "default", "default.test"), dict(found.pairs())))
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=served.context)
    async with server:
        client = ssl.create_default_context()
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="one.test")
        make_pair(folder / "b", tmp_path / "ca2", "two.test")
        make_pair(folder / "a", tmp_path / "ca3", "three.test")
        await served.look()
        assert [(await shown(served.context, "-servername", name))[0] for name in ("one.test", "two.test", "three.test")] == [
            "default.test", "two.test", "three.test",
        ]  # fmt: skip
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        writer.close()


async def test_a_pair_that_does_not_belong_together_changes_nothing(tmp_path):
    folder = tmp_path / "pairs"
    make_pair(folder / "a", tmp_path / "ca1", "one.test")
    found = PairFolder(folder)
    served = Presented(lambda: Choice(issued(tmp_path / "default", "default.test"), dict(found.pairs())))
    key = issued(tmp_path / "ca2", "one.test").key.read_bytes()
    before = (folder / "a" / "privkey.pem").read_bytes()
    (folder / "a" / "privkey.pem").write_bytes(key)
    await served.look()
    assert (await shown(served.context, "-servername", "one.test"))[0] == "one.test"
    make_pair(folder / "b", tmp_path / "ca3", "two.test")
    started = Presented(lambda: Choice(issued(tmp_path / "default", "default.test"), dict(PairFolder(folder).pairs())))
    assert [(await shown(started.context, "-servername", name))[0] for name in ("one.test", "two.test")] == ["default.test", "two.test"]
    (folder / "a" / "privkey.pem").write_bytes(before)
    await served.look()
    assert (await shown(served.context, "-servername", "one.test"))[0] == "one.test"


async def test_nothing_is_read_again_while_nothing_changes(served):
    named = served._named
    await served.look()
    assert served._named is named
    await served.reload()
    assert served._named is not named


async def echo(reader, writer):
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()


def make_pair(folder, authority, name):
    files = issued(authority, name)
    folder.mkdir(parents=True, exist_ok=True)
    for path, to in ((files.key, "privkey.pem"), (files.certificate, "fullchain.pem")):
        (folder / (to + ".new")).write_bytes(path.read_bytes())
        os.replace(folder / (to + ".new"), folder / to)


async def test_a_look_reads_the_pairs_beside_the_event_loop(tmp_path, monkeypatch):
    folder, threads, made = tmp_path / "pairs", [], certificates.context
    folder.mkdir()
    found = PairFolder(folder)
    served = Presented(lambda: Choice(issued(tmp_path / "default", "default.test"), dict(found.pairs())))
    make_pair(folder / "a", tmp_path / "ca", "one.test")
    monkeypatch.setattr(certificates, "context", lambda files: (threads.append(threading.current_thread()), made(files))[1])
    await served.look()
    await served.reload()
    assert threads
    assert threading.main_thread() not in threads
    assert (await shown(served.context, "-servername", "one.test"))[0] == "one.test"


async def test_a_broken_pair_is_told_once_for_each_change_of_its_files(tmp_path):
    folder = tmp_path / "pairs"
    make_pair(folder / "a", tmp_path / "ca1", "one.test")
    make_pair(folder / "b", tmp_path / "ca2", "two.test")
    found = PairFolder(folder)
    served = Presented(lambda: Choice(issued(tmp_path / "default", "default.test"), dict(found.pairs())))
    with capture_logs() as logs:
        (folder / "a" / "privkey.pem").write_bytes(b"nothing")
        for _ in range(3):
            await served.look()
        assert [entry["event"] for entry in logs if entry["log_level"] in ("warning", "error")] == ["certificate_skipped"]
        (folder / "a" / "privkey.pem").write_bytes(b"nothing either")
        for _ in range(3):
            await served.look()
        assert [entry["event"] for entry in logs if entry["log_level"] in ("warning", "error")] == ["certificate_skipped"] * 2
    assert (await shown(served.context, "-servername", "one.test"))[0] == "one.test"


async def test_a_broken_default_is_told_once_and_stays_what_it_was(tmp_path):
    first, second = issued(tmp_path / "default", "default.test"), issued(tmp_path / "other", "other.test")
    served = Presented(lambda: Choice(first))
    whole = first.key.read_bytes()
    with capture_logs() as logs:
        first.key.write_bytes(second.key.read_bytes())
        for _ in range(3):
            await served.look()
    assert [entry["event"] for entry in logs] == ["certificate_not_reloaded"]
    assert (await shown(served.context))[0] == "default.test"
    first.key.write_bytes(whole)
    await served.look()
    assert (await shown(served.context))[0] == "default.test"


async def test_the_days_of_each_certificate_are_told(tmp_path):
    def days():
        return {sample.labels["name"]: sample.value for family in LIFETIMES.collect() for sample in family.samples}

    choice = [Choice(issued(tmp_path / "default", "default.test"), {"one.test": issued(tmp_path / "one", "one.test")})]
    served = Presented(lambda: choice[0])
    assert {name: round(left) for name, left in days().items()} == {"default.test": 397, "one.test": 397}
    choice[0] = Choice(choice[0].default)
    await served.look()
    assert sorted(days()) == ["default.test", "one.test"]  # its files are there, so it is still shown
    (tmp_path / "one" / "server.key").unlink()
    choice[0] = Choice(issued(tmp_path / "else", "else.test"))
    await served.look()
    assert list(days()) == ["else.test"]
