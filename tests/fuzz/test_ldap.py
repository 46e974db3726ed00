"""No octets make the LDAP client raise what it does not say, hang, or take a stranger for a user; a fixed budget."""

import contextlib
import socket
import time
from collections.abc import Iterator

from hypothesis import example, given, settings
from hypothesis import strategies as st

from postroom.ldap import ber, messages
from postroom.ldap.ber import Malformed
from postroom.ldap.entries import Meaning
from postroom.ldap.link import Link
from postroom.ldap.settings import Settings
from postroom.model.errors import DirectoryUnavailable

TAGS = (0x01, 0x02, 0x04, 0x0A, 0x30, 0x31, 0x61, 0x64, 0x65, 0x73, 0x78, 0x79, 0x80, 0xA0, 0x1F, 0x24)
LEAVES = [b"", b"\0", b"\1", b"\2", b"\x31", b"\xff" * 9, b"uid", b"entryUUID", b"member;range=0-1", messages.PAGED.encode(), b"uid=a,dc=x"]
OFFICE = Settings(id="d-0000000001", base="dc=x", connect_seconds=5.0)

leaves = st.builds(ber.wrap, st.sampled_from(TAGS), st.sampled_from(LEAVES) | st.binary(max_size=12))
trees = st.recursive(
    leaves, lambda inner: st.builds(lambda tag, some: ber.wrap(tag, *some), st.sampled_from(TAGS), st.lists(inner, max_size=5))
)
bodies = st.builds(
    lambda number, kind, some, more: ber.wrap(ber.SEQUENCE, ber.integer(number), ber.wrap(kind, *some), *more),
    st.sampled_from([0, 1, 1, 1, 2]),
    st.sampled_from(TAGS),
    st.lists(trees, max_size=4),
    st.lists(trees, max_size=2),
)
octets = st.one_of(st.binary(max_size=100), trees, st.lists(bodies, max_size=4).map(b"".join))


@contextlib.contextmanager
def said(data: bytes) -> Iterator[Link]:
    """Have a conversation in which this is all that is said; what it may well fail with does not count."""
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.suppress(Malformed, OSError, DirectoryUnavailable):
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        yield Link(ours, OFFICE, time.monotonic() + 5)


def is_yes(data: bytes) -> bool:
    """Say whether there is a success to the first question in it, by no means of ours but the octets of one."""
    return b"\x02\x01\x01\x61" in data and b"\x0a\x01\x00" in data


@given(octets)
@example(bytes.fromhex("300c02010161070a010004000400"))
@settings(max_examples=100, deadline=None)
def test_a_bind_ends_and_only_a_success_is_one(data: bytes) -> None:
    with said(data) as link:
        assert not link.bind("cn=a", "x") or is_yes(data)


@given(octets)
@settings(max_examples=100, deadline=None)
def test_a_search_ends(data: bytes) -> None:
    meaning = Meaning(OFFICE)
    with said(data) as link:
        link.linger()
        for dn, found in link.search("dc=x", b"", []):
            meaning.user(dn, found)
            meaning.group(dn, found)
