"""IMAP literals and lines without measure, before and after signing in."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.hostile.attacks import GONE, blind, dial, read_all, read_until

JUNK = [
    b"a LOGIN {4294967295}\r\n",
    b"a LOGIN {4294967295+}\r\n",
    b"a LOGIN {99999999999999999999999999}\r\n",
    b"a LOGIN {-1}\r\n",
    b"a LOGIN {0000000000000000000000000000000000000001+}\r\nx {1+}\r\ny\r\n",
    b"a LOGIN {\r\n",
    b"a LOGIN " + b"(" * 100_000 + b"\r\n",
    b'a LOGIN "' + b"\\" * 1_000_001 + b"\r\n",
    b"a AUTHENTICATE PLAIN " + b"A" * 2_000_000 + b"\r\n",
    b"a AUTHENTICATE PLAIN\r\n" + b"A" * 2_000_000 + b"\r\n",
    b"a ID (" + b'"x" "y" ' * 200_000 + b")\r\n",
    b"{10000000+}\r\n" + b"z" * 10_000_000 + b"\r\n",
    b"a" * 5_000_000,
    b"".join(b"a%d LOGIN {65536+}\r\n%b {65536+}\r\n%b\r\n" % (number, b"u" * 65536, b"p" * 65536) for number in range(60)),
    b"\0" * 1_000_000,
    b"a STARTTLS\r\na LOGIN x y\r\n",
]

SIGNED_IN = [
    b"b UID FETCH " + b",".join(b"%d" % number for number in range(1, 2_000_000, 7)) + b" (FLAGS)\r\n",
    b"b FETCH 4294967295:1 (UID)\r\n",
    b"b UID FETCH 1:99999999999999999999999999 (UID)\r\n",
    b"b SEARCH " + b"NOT " * 300_000 + b"ALL\r\n",
    b"b SEARCH " + b"(" * 300_000 + b"ALL" + b")" * 300_000 + b"\r\n",
    b"b SEARCH " + b"OR SEEN " * 100_000 + b"ALL\r\n",
    b"b SEARCH TEXT {100000+}\r\n" + b"w " * 50_000 + b"\r\n",
    b"b STORE 1:* +FLAGS (" + b" ".join(b"word%d" % number for number in range(100_000)) + b")\r\n",
    b'b LIST "" "' + b"*" * 100_000 + b'"\r\n',
    b'b LIST "" "' + b"%*" * 60 + b'x"\r\n',
    b'b CREATE "' + b"a/" * 100_000 + b'"\r\n',
    b'b CREATE "' + b"a" * 100_000 + b'"\r\n',
    b"b CREATE {10+}\r\n&&&&\xff\xfe\0abc\r\n",
    b"b FETCH 1 (" + b"BODY.PEEK[1.1.1.1.1.1.1.1] " * 50_000 + b"UID)\r\n",
    b"b FETCH 1 BODY.PEEK[" + b"1." * 500_000 + b"1]\r\n",
    b"b FETCH 1 BODY.PEEK[HEADER.FIELDS (" + b" ".join(b"x%d" % number for number in range(200_000)) + b")]\r\n",
    b"b FETCH 1 BODY.PEEK[]<4294967295.4294967295>\r\n",
    b"b STATUS INBOX (" + b"MESSAGES " * 100_000 + b"UIDNEXT)\r\n",
    b'b APPEND INBOX (\\Seen) "31-Feb-9999 99:99:99 +9999" {3+}\r\nabc\r\n',
    b"b APPEND INBOX {1000+}\r\n" + b"\0" * 1000 + b"\r\n",
    b"b APPEND INBOX {10+}\r\nlf\nonly\nx\n\r\n",
    b"b IDLE\r\n" + b"not done\r\n" * 100_000,
    b"b ENABLE " + b"CONDSTORE " * 100_000 + b"X\r\n",
]


@pytest.mark.parametrize("number", range(len(JUNK)))
@pytest.mark.parametrize("port", ["imap", "imaps"])
def test_before_signing_in(ready, watch, port, number):
    with dial(getattr(ready, port), 15, blind(ready) if port == "imaps" else None) as sock:
        read_until(sock, b"\r\n")
        with suppress(*GONE):
            sock.sendall(JUNK[number])
            sock.sendall(b"\r\n" + b"q" * 70_000)
        answer = read_all(sock, 1)
    assert b" OK [CAPABILITY" not in answer
    assert not answer.count(b"LOGIN completed")


@pytest.mark.parametrize("number", range(len(SIGNED_IN)))
def test_after_signing_in(ready, watch, victim, number):
    """Whatever comes back, it comes soon, and the next connection is served."""
    with dial(ready.imaps, 15, blind(ready)) as sock:
        read_until(sock, b"\r\n")
        sock.sendall(f'a LOGIN {victim.email} "{victim.password}"\r\n'.encode())
        assert b"a OK" in read_until(sock, b"a OK")
        sock.sendall(b"s APPEND INBOX {24+}\r\nSubject: x\r\n\r\nbody\r\n....\r\nt SELECT INBOX\r\n")
        assert b"t OK" in read_until(sock, b"t OK")
        with suppress(*GONE):
            sock.sendall(SIGNED_IN[number])
            sock.sendall(b"n NOOP\r\nz LOGOUT\r\n")
        answer = read_all(sock, 15)
    text = answer[-3000:].decode(errors="replace")
    assert b"\r\nb " in b"\r\n" + answer or b"* BYE" in answer or b"* BAD" in answer or answer.startswith(b"+"), text
    assert "internal error" not in answer.decode(errors="replace").lower(), text
