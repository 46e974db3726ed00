"""The whole program with certificates from Pebble: they come by themselves, change under open connections, and are told by commands."""

from __future__ import annotations

import imaplib
import json
import os
import re
import signal
import socket
import ssl
import time
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.program import Program, running
from tests.server.acme import pebble
from tests.server.served import configured, eventually, postroom

HOST = "mail.lab.test"


def acme(directory, port, extra=""):
    return f"""
[web]
listen_tls = ["127.0.0.1:{port}"]
[tls.acme]
enabled = true
agree_to_terms = true
challenge = "tls-alpn-01"
directory = "{directory}"
{extra}
"""


def shown(program, name=HOST):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(program.ready.imaps, 10) as plain, context.wrap_socket(plain, server_hostname=name) as secure:
        return x509.load_der_x509_certificate(secure.getpeercert(True))


def from_pebble(found):
    return "Pebble" in found.issuer.rfc4514_string()


def test_certificates_come_by_themselves_and_change_under_open_connections(tmp_path):
    with pebble.running(tmp_path / "pebble", names=(HOST,)) as authority:
        dns = f'[dns]\nnameservers = ["127.0.0.1:{authority.nameserver.port}"]'
        config = configured(tmp_path, acme(authority.directory, authority.tls, f'ca = "{authority.ca}"\n{dns}'))
        with running(Program(["serve", "--config", str(config)], tmp_path)) as program:
            eventually(lambda: from_pebble(shown(program)))
            first = shown(program)
            trusting = ssl.create_default_context(cafile=authority.root(tmp_path))
            with socket.create_connection(program.ready.submission, 10) as plain:
                say = plain.makefile("rwb", buffering=0)
                for line in (b"", b"EHLO client.test\r\n", b"STARTTLS\r\n"):
                    say.write(line)
                    while (answer := say.readline())[3:4] == b"-":
                        pass
                assert answer.startswith(b"220")
                with trusting.wrap_socket(plain, server_hostname=HOST) as secure:
                    assert x509.load_der_x509_certificate(secure.getpeercert(True)) == first
            imap = imaplib.IMAP4(*program.ready.imap)
            trusting.check_hostname = False
            imap.starttls(trusting)
            done = postroom(config, "certificates", "renew", HOST)
            assert (done.returncode, done.stdout, done.stderr) == (0, f"{HOST} has a new certificate.\n", "")
            os.kill(program.process.pid, signal.SIGHUP)
            eventually(lambda: shown(program).serial_number != first.serial_number)
            assert imap.noop()[0] == "OK"
            assert imap.sock.getpeercert(True) == first.public_bytes(Encoding.DER)
            imap.shutdown()
            metrics = urllib.request.urlopen(program.ready.api + "/metrics").read().decode()
            assert 89 < float(re.search(rf'postroom_certificate_days{{name="{HOST}"}} (\S+)', metrics)[1]) <= 90
            assert 'postroom_certificate_orders_total{outcome="issued"} 1.0' in metrics
            tell(config, program)


def tell(config, program):
    """What the commands say."""
    unknown = postroom(config, "certificates", "renew", "other.test")
    assert (unknown.returncode, unknown.stderr.split(":")[1:]) == (1, [" other.test is none of the names of this server", f" {HOST}.\n"])
    orders = config.parent / "data" / "acme" / "orders.json"
    orders.write_text(json.dumps({"names": {HOST: {"error": "http-01: unauthorized", "not_before": time.time()}}}))
    checked = postroom(config, "check", "--no-dns").stdout
    assert f"{config.parent}/data/acme/live/{HOST}/fullchain.pem ends on" in checked
    assert f"warning  [tls.acme]: {HOST} has not been issued: http-01: unauthorized" in checked
    listed = postroom(config, "certificates", "list").stdout.splitlines()
    assert listed[0].split() == ["NAME", "SOURCE", "ENDS", "SHOWN"]
    assert [line.split()[:2] for line in listed[1:-1:2]] == [[HOST, "acme"]] * 2
    assert listed[-1] == f"{HOST:<40} acme    not issued: http-01: unauthorized"


def test_an_authority_that_says_nothing_keeps_the_program_neither_from_serving_nor_from_ending(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = configured(tmp_path, acme(f"https://127.0.0.1:{silent.getsockname()[1]}/", 0, f'names = ["{HOST}"]'))
        with running(Program(["serve", "--config", str(config)], tmp_path)) as program:
            silent.settimeout(20)
            asking, _ = silent.accept()
            assert not from_pebble(shown(program))
            program.stop()
            asking.close()
