"""Services that call themselves AWS and answer late, or with anything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from postroom.aws import clients, object_reading
from postroom.aws.clients import Aws
from postroom.aws.keys import KeyService
from postroom.aws.objects import ObjectUpload
from postroom.aws.settings import Settings
from postroom.model import errors
from postroom.model.exports import Export, ExportState, Unreached

ROLE = "arn:aws:iam::123456789012:role/slow"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


def aws(endpoint: str, **endpoints: str) -> Aws:
    return Aws(Settings(enabled=True, access_key_id="k", secret_access_key="s", endpoint=endpoint, endpoints=endpoints), "us-east-1")


class Strange(BaseHTTPRequestHandler):
    """Answers everything in parts of no announced length, with nothing that was asked for."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        if "/cut" in self.path:
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"<x/>")
            self.close_connection = True
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"4\r\n<x/>\r\n0\r\n\r\n" if self.path.startswith("/mail") else b"2\r\n{}\r\n0\r\n\r\n")

    do_GET = do_PUT = do_POST = _answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def strange() -> Iterator[Aws]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Strange)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield aws(f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_role_that_is_waited_for_keeps_no_others_waiting() -> None:
    """STS that takes a request and says nothing, beside KMS."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asked = aws("http://127.0.0.1:1", sts=f"http://127.0.0.1:{silent.getsockname()[1]}")

        def assume() -> None:
            with suppress(Exception):
                asked.client("s3", role=ROLE)

        threading.Thread(target=assume, daemon=True).start()
        connection, _ = silent.accept()
        got = threading.Thread(target=asked.client, args=("kms",), daemon=True)
        got.start()
        got.join(20.0)
        assert not got.is_alive()
        connection.close()


def test_few_roles_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "ROLES", 3)
    asked = aws("http://127.0.0.1:1")
    for number in range(5):
        asked._role(f"{ROLE}{number}", "session")
    assert [role for role, _ in asked._roles] == [f"{ROLE}{number}" for number in (2, 3, 4)]


def test_an_answer_that_lacks_what_was_asked_for_is_no_answer(strange: Aws) -> None:
    export = Export("1", "", 1, None, ROLE, KEY, "mail", "", "a.zip", ExportState.RUNNING, 0, None, 0.0, None, None)
    upload = ObjectUpload(strange, export, assume_role=False, encrypt=False)
    with pytest.raises(Unreached, match="lacks 'UploadId'"):
        upload.begin()
    with pytest.raises(Unreached, match="lacks 'ETag'"):
        upload.put("1", 1, 0, b"data")
    with pytest.raises(errors.DirectoryUnavailable, match="lacks 'Plaintext'"):
        KeyService(strange).generate(KEY)
    with pytest.raises(errors.TryLater, match="lacks 'Plaintext'"):
        KeyService(strange).decrypt(b"wrapped", KEY)


def test_an_object_of_no_announced_length(strange: Aws) -> None:
    assert object_reading.read(strange, "mail", "a", version="", most=4) == b"<x/>"
    with pytest.raises(errors.ResourceNotFound, match="larger than 3 bytes"):
        object_reading.read(strange, "mail", "a", version="", most=3)


def test_an_object_that_is_cut_short_is_not_taken(strange: Aws) -> None:
    with pytest.raises(errors.TryLater):
        object_reading.read(strange, "mail", "cut", version="", most=100)
