"""Servers that mean harm, or are broken: whatever they say, a question ends in time, in little memory, and never in a yes."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from postroom.ldap import ber, link, messages
from postroom.ldap.ber import Malformed
from postroom.ldap.directory import Directory
from postroom.ldap.settings import Settings
from postroom.model import errors

Serve = Callable[[socket.socket], None]


@contextmanager
def serving(*serve: Serve) -> Iterator[str]:
    """Serve one connection after the other; gives the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)  # for whoever never comes

        def run() -> None:
            for one in serve:
                with suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        one(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield f"ldap://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def directory(url: str, **settings: Any) -> Directory:
    given = {
        "id": "d-0000000001",
        "urls": (url,),
        "bind_dn": "cn=r",
        "bind_password": "x",
        "base": "dc=x",
        "connect_seconds": 5.0,
        "answer_seconds": 5.0,
    }
    return Directory("office", Settings(**(given | settings)))


def result(code: int, kind: int = messages.BIND_ANSWER, number: int = 1, *more: bytes) -> bytes:
    done = ber.wrap(kind, ber.integer(code, ber.ENUMERATED), ber.octets(""), ber.octets("why"))
    return ber.wrap(ber.SEQUENCE, ber.integer(number), done, *more)


def saying(*answers: bytes) -> Serve:
    """Give one answer to each question, and then listen until the other side leaves."""

    def serve(connection: socket.socket) -> None:
        for answer in answers:
            connection.recv(65536)
            connection.sendall(answer)
        while connection.recv(65536):
            pass

    return serve


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x30\x84\x7f\xff\xff\xff\x02\x01\x01", "too large"),
        (b"\x30\x83\x01\x00\x10", "too large"),
        (b"\x30\x80\x02\x01\x01", "without a bound"),
        (b"\x30\x88" + b"\xff" * 8, "without a bound"),
        (b"\x3f\x81\x01\x00", "several octets"),
        (ber.wrap(ber.SEQUENCE, *[b"\x04\x00"] * 30_000), "too many parts"),
        (ber.wrap(ber.SEQUENCE, ber.integer(1), ber.wrap(messages.BIND_ANSWER, *[b"\x04\x00"] * 30_000)), "too many parts"),
        (result(0, number=2), "something else"),
        (result(52, messages.EXTENDED_ANSWER, 0), "something else"),
        (result(0, 0x79), "something else"),
        (result(0, messages.SEARCH_DONE), "something else"),
        (b"\x31" + result(0)[1:], "something else"),
        (result(10), "result 10"),
        (result(14), "result 14"),
        (result(51), "result 51"),
        (ber.wrap(ber.SEQUENCE, ber.integer(1), ber.wrap(messages.BIND_ANSWER)), "no result"),
        (b"SSH-2.0-OpenSSH_9.2\r\n" * 5, r"\S"),
    ],
)
def test_no_answer_but_yes_is_a_yes(answer: bytes, reason: str) -> None:
    with serving(saying(answer)) as url, pytest.raises(errors.DirectoryUnavailable, match=reason):
        directory(url).check("cn=a", "x")


def test_slowly_is_not_in_time() -> None:
    gone = threading.Event()

    def drip(connection: socket.socket) -> None:
        for octet in result(0):
            connection.sendall(bytes([octet]))
            gone.wait(0.05)

    with serving(drip) as url, pytest.raises(errors.DirectoryUnavailable, match="silent|timed out"):
        directory(url, connect_seconds=0.3).check("cn=a", "x")


def test_nothing_that_comes_before_tls_counts_under_it() -> None:
    pipelined = result(0, messages.EXTENDED_ANSWER) + result(0, number=2)
    with serving(saying(pipelined)) as url, pytest.raises(errors.DirectoryUnavailable, match="refuses StartTLS"):
        directory(url, starttls=True).check("cn=a", "x")


def test_a_server_without_starttls_hears_no_password() -> None:
    heard: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        heard.append(connection.recv(65536))
        connection.sendall(result(2, messages.EXTENDED_ANSWER))
        while data := connection.recv(65536):
            heard.append(data)

    with serving(refuse) as url, pytest.raises(errors.DirectoryUnavailable, match="refuses StartTLS"):
        directory(url, starttls=True).check("cn=a", "Secret-1")
    assert b"Secret-1" not in b"".join(heard)


def test_a_certificate_for_another_name_is_none(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "other.test").configure_cert(context)

    def secure(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(65536)
            encrypted.sendall(result(0))

    with serving(secure, secure) as url:
        port = url.rpartition(":")[2]
        with pytest.raises(errors.DirectoryUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            directory(f"ldaps://127.0.0.1:{port}", ca=str(tmp_path / "ca.pem")).check("cn=a", "x")
        assert directory(f"ldaps://localhost:{port}", ca=str(tmp_path / "ca.pem")).check("cn=a", "x")


def entry(number: int, dn: str, **attributes: list[str]) -> bytes:
    listed = [
        ber.wrap(ber.SEQUENCE, ber.octets(name.replace("_", ";")), ber.wrap(ber.SET, *map(ber.octets, values)))
        for name, values in attributes.items()
    ]
    return ber.wrap(ber.SEQUENCE, ber.integer(number), ber.wrap(messages.ENTRY, ber.octets(dn), ber.wrap(ber.SEQUENCE, *listed)))


def done(number: int, code: int = 0) -> bytes:
    return result(code, messages.SEARCH_DONE, number)


def test_more_values_than_can_be_held_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "MOST_VALUES", 10)
    many = entry(2, "uid=a", uid=["a"] * 20) + done(2)
    with serving(saying(result(0), many)) as url, pytest.raises(errors.DirectoryUnavailable, match="more than can be read"):
        directory(url).read()


@pytest.mark.parametrize("code", [3, 4, 10, 11])
def test_what_ends_early_is_not_all(code: int) -> None:
    some = entry(2, "uid=a", uid=["a"], entryUUID=["f81d4fae-7dec-11d0-a765-00a0c91e6bf6"]) + done(2, code)
    with serving(saying(result(0), some)) as url, pytest.raises(errors.DirectoryUnavailable, match=f"result {code}"):
        directory(url).read()


def test_a_group_that_ends_early_is_not_all() -> None:
    part = ber.wrap(ber.SEQUENCE, ber.octets("member;range=0-0"), ber.wrap(ber.SET, ber.octets("uid=a")))
    found = ber.wrap(ber.SEQUENCE, ber.integer(3), ber.wrap(messages.ENTRY, ber.octets("cn=g"), ber.wrap(ber.SEQUENCE, part)))
    answers = (result(0), done(2), found + done(3), entry(4, "cn=g", cn=["g"]) + done(4))
    with serving(saying(*answers)) as url, pytest.raises(errors.DirectoryUnavailable, match="all members"):
        directory(url).read()


def test_pages_without_end_come_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "LONGEST_SECONDS", 0.5)
    value = ber.wrap(ber.SEQUENCE, ber.integer(0), ber.octets("more"))
    control = ber.wrap(ber.SEQUENCE, ber.octets(messages.PAGED), ber.octets(value))

    def endless(connection: socket.socket) -> None:
        number = 1
        connection.recv(65536)
        connection.sendall(result(0))
        while connection.recv(65536):
            number += 1
            connection.sendall(result(0, messages.SEARCH_DONE, number, ber.wrap(0xA0, control)))

    with serving(endless) as url, pytest.raises(errors.DirectoryUnavailable, match="silent|timed out"):
        directory(url).read()


def test_a_dead_address_of_a_host_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as full, serving(saying(result(0))) as url:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = int(url.rpartition(":")[2])
        places = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in (full.getsockname(), ("127.0.0.1", port))]
        places.insert(0, (999, socket.SOCK_STREAM, 0, "", ("of a family that this machine does not have", 0)))
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", lambda *asked, **more: places)
        assert directory(url, connect_seconds=2.0).check("cn=a", "x")
        for one in waiting:
            one.close()


def test_many_parts_are_not_listed() -> None:
    with pytest.raises(Malformed):
        messages.read(ber.integer(1) + ber.wrap(messages.BIND_ANSWER) + b"\x04\x00" * 100)


ID, OTHER = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "f81d4fae-7dec-11d0-a765-00a0c91e6bf7"


@pytest.mark.parametrize(
    ("answers", "opens"),
    [
        ((result(0), entry(2, "cn=a", entryUUID=[ID]) + done(2)), True),
        ((result(0), entry(2, "cn=a", entryUUID=[OTHER]) + done(2)), False),
        ((result(0), done(2, 32), result(0, number=3), entry(4, "cn=a", entryUUID=[OTHER]) + done(4)), False),
        ((result(0), done(2), result(0, number=3), entry(4, "cn=a", entryUUID=[ID]) + done(4)), True),
        ((result(0), done(2, 50), result(49, number=3)), True),
    ],
)
def test_a_name_opens_for_whom_it_was_read_of(answers: tuple[bytes, ...], opens: bool) -> None:
    with serving(saying(*answers)) as url:
        assert directory(url).check("cn=a", "x", ID) is opens


def test_who_falls_silent_after_a_yes_has_not_said_it() -> None:
    with serving(saying(result(0))) as url, pytest.raises(errors.DirectoryUnavailable, match="silent|timed out"):
        directory(url, connect_seconds=0.3).check("cn=a", "x", ID)
