"""The load generators count what servers really answered, and read answers to their end."""

import contextlib
import http.server
import socket
import ssl
import threading

import pytest
from aiosmtpd.controller import Controller

from bench import certificate, http_load, imap_wire, programs, smtp_load


@contextlib.contextmanager
def http_server(*, status=200, keep=True):
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1" if keep else "HTTP/1.0"

        def do_POST(self):
            seen.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", "5")
            self.send_header("Connection", "keep-alive" if keep else "close")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield http_load.Target(server.server_address), seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def posts(count):
    return [b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n%03d" % number for number in range(count)]


@pytest.mark.parametrize("keep", [True, False], ids=["kept alive", "closed after each"])
def test_each_request_goes_out_once(keep):
    with http_server(keep=keep) as (target, seen):
        outcome = http_load.run(target, posts(40), connections=4)
    assert outcome.answers == 40
    assert sorted(seen) == [b"%03d" % number for number in range(40)]


def test_a_timed_run_goes_round_and_ends():
    with http_server() as (target, seen):
        outcome = http_load.run(target, posts(2), seconds=0.2, connections=2)
    assert outcome.answers == len(seen) > 2
    assert outcome.seconds < 5


def test_an_error_answer_is_never_counted_as_speed():
    with http_server(status=500) as (target, _), pytest.raises(programs.BenchError, match="500"):
        http_load.run(target, posts(4), connections=2)


def test_bodies_come_back_in_order():
    with http_server() as (target, _):
        assert http_load.each(target, posts(3)) == [b"hello"] * 3


@pytest.mark.parametrize(
    ("answer", "size"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Len", 0),
    ],
)
def test_whole_answers_are_known_by_their_length(answer, size):
    assert http_load.whole(answer) == size


def test_letters_arrive_as_they_were_written():
    received = []

    class Sink:
        async def handle_DATA(self, server, session, envelope):
            received.append((envelope.rcpt_tos[0], envelope.content))
            return "250 OK"

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(Sink(), "127.0.0.1", port)
    controller.start()
    try:
        raw = [b"Subject: %d\r\n\r\n.dot\r\n..dots\r\n.\r\nend\r\n" % number for number in range(12)]
        accepted = smtp_load.run(("127.0.0.1", port), [smtp_load.letter("a@b.test", each) for each in raw], connections=4)
    finally:
        controller.stop()
    assert accepted.letters == 12
    assert sorted(content for _, content in received) == sorted(raw)


@contextlib.contextmanager
def imap_server(tmp_path, answers):
    """Answer the n-th line with the n-th answer, in pieces, over TLS."""
    certificate.write(tmp_path / "cert.pem", tmp_path / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with context.wrap_socket(listener.accept()[0], server_side=True) as client, client.makefile("rb") as lines:
            client.sendall(b"* OK ready\r\n")
            for pieces in answers:
                lines.readline()
                for piece in pieces:
                    client.sendall(piece)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        thread.join(5)
        listener.close()


def test_the_answer_ends_at_its_own_tag_only(tmp_path):
    pieces = [b"* 1 FETCH (BODY[] {20}\r\nt000009 OK not me\r\n\r\n", b" UID 1)\r\n", b"t000001 ", b"OK done\r\n"]
    with imap_server(tmp_path, [pieces]) as address:
        client = imap_wire.Client(address, certificate.client_context())
        assert client.command(b"FETCH 1 BODY[]") == b"".join(pieces)
        client.close()


def test_a_refusal_is_an_error(tmp_path):
    with imap_server(tmp_path, [[b"t000001 NO [OVERQUOTA] full\r\n"]]) as address:
        client = imap_wire.Client(address, certificate.client_context())
        with pytest.raises(programs.BenchError, match="OVERQUOTA"):
            client.command(b"APPEND x")
        client.close()


def test_search_hits_are_read():
    assert imap_wire.hits(b"* SEARCH 2 3 5\r\nt1 OK\r\n") == [2, 3, 5]
    assert imap_wire.hits(b"* SEARCH\r\nt1 OK\r\n") == []
