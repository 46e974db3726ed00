"""A directory as a client of it: Debian's slapd, servers that are silent, and one that gives members in parts."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from postroom.ldap import ber, messages
from postroom.ldap.directory import PAUSE_SECONDS, Directory
from postroom.ldap.settings import Settings
from postroom.model import errors
from tests.conftest import Clock
from tests.slapd import READER_DN, SECRET, SUFFIX, Slapd, dn_of, group, person

PEOPLE = 65


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    server = Slapd(tmp_path_factory.mktemp("slapd"))
    try:
        server.add(*(person(f"u{number}", "Right-Password-1") for number in range(PEOPLE)), group("some", dn_of("u1"), dn_of("u2")))
        yield server
    finally:
        server.kill()


def directory(slapd: Slapd, clock: Callable[[], float] = time.monotonic, **settings: Any) -> Directory:
    given = {
        "id": "d-0000000001",
        "urls": (slapd.url,),
        "ca": str(slapd.ca),
        "bind_dn": READER_DN,
        "bind_password": SECRET,
        "base": SUFFIX,
        "page": 20,
        "connect_seconds": 5.0,
    }
    return Directory("office", Settings(**(given | settings)), clock)


def test_everybody_is_read_page_by_page(slapd: Slapd) -> None:
    snapshot = directory(slapd).read()
    assert sorted(user.name for user in snapshot.users) == sorted(f"u{number}" for number in range(PEOPLE))
    assert [list(one.members) for one in snapshot.groups] == [[dn_of("u1"), dn_of("u2")]]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"page": 1000}, "result 11"),
        ({"entries": PEOPLE - 1}, "more than 64"),
        ({"base": "dc=none"}, "result 32"),
        ({"bind_password": "wrong"}, "does not let"),
        ({"bind_password": ""}, "does not let"),
        ({"ca": ""}, "CERTIFICATE_VERIFY_FAILED"),
        ({"urls": ("ldaps://127.0.0.1:1",)}, "refused"),
    ],
)
def test_less_than_everybody_is_nobody(slapd: Slapd, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(errors.DirectoryUnavailable, match=reason):
        directory(slapd, **settings).read()


def test_a_password_opens_by_bind_alone(slapd: Slapd) -> None:
    office = directory(slapd)
    assert office.check(dn_of("u1"), "Right-Password-1")
    assert not office.check(dn_of("u1"), "Right-Password-2")
    assert not office.check(office.nobody, "Right-Password-1")
    assert not office.check("no name,,=", "Right-Password-1")
    assert not office.check(dn_of("u1"), "\udcff")


def test_starttls_and_the_second_server(slapd: Slapd) -> None:
    assert directory(slapd, urls=("ldaps://127.0.0.1:1", slapd.plain_url), starttls=True).check(dn_of("u1"), "Right-Password-1")
    with pytest.raises(errors.DirectoryUnavailable, match="confidentiality"):
        directory(slapd, urls=(slapd.plain_url,)).check(dn_of("u1"), "Right-Password-1")


class Lax:
    """A server that lets everybody in, as many do when no password is given (RFC 4513 §5.1.2), and has one group in three parts."""

    def __init__(self) -> None:
        self.asked = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ldap://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection, suppress(OSError):
                while data := connection.recv(65536):
                    self.asked += 1
                    connection.sendall(self._answer(data))

    def _answer(self, data: bytes) -> bytes:
        ((_, body),) = tuple(ber.parts(data))
        (_, number), (kind, request), *_ = ber.parts(body)
        done = ber.integer(0, ber.ENUMERATED) + ber.octets("") + ber.octets("")
        if kind != 0x63:
            return ber.wrap(0x30, ber.wrap(0x02, number), ber.wrap(messages.BIND_ANSWER, done))
        asked = [name.decode() for _, name in ber.parts(list(ber.parts(request))[7][1])]
        return self._entry(number, request, asked) + ber.wrap(0x30, ber.wrap(0x02, number), ber.wrap(messages.SEARCH_DONE, done))

    def _entry(self, number: bytes, request: bytes, asked: list[str]) -> bytes:
        if b"inetOrgPerson" in request:
            return b""
        part = {"member;range=2-*": ("member;range=2-3", b"cd"), "member;range=4-*": ("member;range=4-*", b"e")}
        name, values = part.get(asked[0], ("member;range=0-1", b"ab"))
        listed = {name: values, "entryUUID": [b"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"], "cn": [b"g"]}
        attributes = [
            ber.wrap(0x30, ber.octets(key), ber.wrap(0x31, *(ber.octets(one if isinstance(one, bytes) else bytes([one])) for one in some)))
            for key, some in listed.items()
        ]
        entry = ber.wrap(messages.ENTRY, ber.octets("cn=g"), ber.wrap(0x30, *attributes))
        return ber.wrap(0x30, ber.wrap(0x02, number), entry)


def test_no_password_is_never_asked_about(slapd: Slapd) -> None:
    lax = Lax()
    office = directory(slapd, urls=(lax.url,))
    assert office.check(dn_of("u1"), "anything"), "it lets everybody in"
    before = lax.asked
    assert not office.check(dn_of("u1"), "")
    assert lax.asked == before


def test_a_large_group_is_asked_for_until_all_of_it_is_there(slapd: Slapd) -> None:
    (found,) = directory(slapd, urls=(Lax().url,)).read().groups
    assert list(found.members) == ["a", "b", "c", "d", "e"]


@contextmanager
def silent() -> Iterator[int]:
    """Listen, and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(("scheme", "starttls"), [("ldap", False), ("ldaps", False), ("ldap", True)])
def test_a_silent_server_is_given_up_and_then_left_alone(slapd: Slapd, scheme: str, starttls: bool) -> None:
    clock = Clock()
    with silent() as port:
        office = directory(slapd, clock, urls=(f"{scheme}://127.0.0.1:{port}",), starttls=starttls, connect_seconds=0.3)
        with pytest.raises(errors.DirectoryUnavailable, match="timed out|silent"):
            office.check(dn_of("u1"), "x")
        with pytest.raises(errors.DirectoryUnavailable, match="office does not answer"):
            office.check(dn_of("u1"), "x")
        clock.advance(PAUSE_SECONDS)
        with pytest.raises(errors.DirectoryUnavailable, match="timed out|silent"):
            office.check(dn_of("u1"), "x")


def test_while_one_tries_whether_it_answers_again_nobody_else_waits(slapd: Slapd) -> None:
    clock = Clock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        office = directory(slapd, clock, urls=(f"ldap://127.0.0.1:{listener.getsockname()[1]}",), connect_seconds=20.0)
        trying = threading.Thread(target=_given_up, args=(office,))
        trying.start()
        listener.accept()[0].close()
        trying.join()
        clock.advance(PAUSE_SECONDS)
        trying = threading.Thread(target=_given_up, args=(office,))
        trying.start()
        tried, _ = listener.accept()
        with pytest.raises(errors.DirectoryUnavailable, match="office does not answer"):
            office.check(dn_of("u1"), "x")
        tried.close()
        trying.join()


def _given_up(office: Directory) -> None:
    with suppress(errors.DirectoryUnavailable):
        office.check(dn_of("u1"), "x")


def test_a_password_file_that_is_gone_is_no_outage(slapd: Slapd) -> None:
    office = directory(slapd, Clock(), bind_password_file="/nowhere/password")
    with pytest.raises(errors.DirectoryUnavailable, match="cannot be read"):
        office.read()
    assert office.check(dn_of("u1"), "Right-Password-1")


def test_a_refusal_is_no_outage(slapd: Slapd) -> None:
    office = directory(slapd, Clock(), bind_password="wrong")
    with pytest.raises(errors.DirectoryUnavailable):
        office.read()
    assert office.check(dn_of("u1"), "Right-Password-1")


def test_a_server_that_breaks_off_has_not_told_everything(slapd: Slapd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            done = ber.integer(0, ber.ENUMERATED) + ber.octets("") + ber.octets("")
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(ber.wrap(0x30, ber.integer(1), ber.wrap(messages.BIND_ANSWER, done)))
                connection.recv(65536)
                connection.sendall(ber.wrap(0x30, ber.integer(2), ber.wrap(messages.ENTRY, ber.octets("cn=a"), ber.wrap(0x30))))

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(errors.DirectoryUnavailable, match="closed|reset"):
            directory(slapd, urls=(f"ldap://127.0.0.1:{listener.getsockname()[1]}",)).read()
        thread.join()
