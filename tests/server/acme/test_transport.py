"""An authority that answers without end, late or elsewhere is not listened to; over real TLS."""

import http.server
import json
import threading
import time

import pytest
import requests

from postroom.server import certificates
from postroom.server.acme import transport
from postroom.server.acme.folder import Folder
from postroom.server.acme.ordering import Authority
from postroom.server.acme.transport import Interrupted, Session
from postroom.server.settings import Acme


@pytest.fixture
def authority(tmp_path):
    """A server whose answers a test gives: path to (status, headers, body); bodies may be iterators."""
    answers = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answers[self.path]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in [body] if isinstance(body, bytes) else body:
                self.wfile.write(piece)

        def log_message(self, *_):
            pass

    files = certificates.local(tmp_path / "tls", ["127.0.0.1"])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = certificates.context(files).wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_address[1]}", files.authority, answers
    server.shutdown()
    server.server_close()


def asking(seconds=10.0):
    return Session(threading.Event(), time.monotonic() + seconds)


def endless():
    while True:
        yield bytes(65_536)


def test_an_answer_has_its_size_and_its_time(authority):
    url, ca, answers = authority
    answers["/"] = 200, {}, endless()
    with pytest.raises(requests.RequestException, match="1048576 octets"):
        asking().request("GET", url + "/", verify=str(ca))
    answers["/late"] = 200, {}, (piece for _ in range(3) for piece in [b"x"] if time.sleep(0.2) is None)
    with pytest.raises(requests.RequestException, match="too long"):
        asking(0.1).request("GET", url + "/late", verify=str(ca))
    with pytest.raises(requests.RequestException, match="too long"):
        asking(-1).request("GET", url + "/late", verify=str(ca))


def test_only_tls_will_do_and_a_pause_that_is_asked_for_is_heard(authority):
    url, ca, answers = authority
    session = asking()
    with pytest.raises(requests.RequestException, match="is not https"):
        session.request("GET", url.replace("https", "http"))
    answers["/busy"] = 429, {"Retry-After": "3600", "Content-Length": "2"}, b"{}"
    answer = session.request("GET", url + "/busy", verify=str(ca))
    assert (answer.status_code, answer.content, answer.ok, session.pause) == (429, b"{}", False, 3600.0)
    answers["/date"] = 503, {"Retry-After": "Tue, 01 Dec 2026 10:00:00 GMT", "Content-Length": "0"}, b""
    session.request("GET", url + "/date", verify=str(ca))
    assert session.pause == 0.0


def test_a_program_that_ends_asks_no_more():
    ended = threading.Event()
    ended.set()
    with pytest.raises(Interrupted):
        Session(ended, time.monotonic() + 10).request("GET", "https://127.0.0.1:1/")


def test_an_authority_says_when_it_wants_a_certificate_to_be_renewed(authority, tmp_path):
    url, ca, answers = authority
    settings = Acme(enabled=True, agree_to_terms=True, directory=url + "/directory", ca=str(ca))
    folder = Folder(tmp_path)
    (folder.account(settings.directory) / "account.json").write_text(json.dumps({"uri": url + "/account", "email": ""}))
    directory = json.dumps({"newNonce": url + "/nonce", "newAccount": url, "newOrder": url, "renewalInfo": url + "/info"}).encode()
    answers["/directory"] = 200, {"Content-Type": "application/json", "Content-Length": str(len(directory))}, directory
    chain = certificates.local(tmp_path / "shown", ["a.test"]).certificate.read_bytes()
    path = "/info/" + transport.client._renewal_info_path_component(certificates_of(chain))
    window = json.dumps({"suggestedWindow": {"start": "2030-01-02T04:00:00Z", "end": "2030-01-02T04:00:00Z"}}).encode()
    answers[path] = 200, {"Content-Type": "application/json", "Content-Length": str(len(window)), "Retry-After": "21600"}, window
    at, again = Authority(settings, folder, threading.Event()).renewal(chain)
    assert at == 1893556800.0
    assert again == pytest.approx(time.time() + 21600, abs=30)


def certificates_of(chain):
    from cryptography import x509

    return x509.load_pem_x509_certificate(chain)
