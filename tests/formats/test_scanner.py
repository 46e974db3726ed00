"""The map of parts: offsets, nesting, bounds."""

import pytest

from postroom.formats import message, parts, scanner
from postroom.formats.parts import Part


def tree(raw: bytes) -> Part:
    return parts.unpack(message.summarize(raw).parts)


def shape(part: Part) -> object:
    return (part.type, [shape(child) for child in part.children]) if part.children else part.type


def mixed(*bodies: bytes, boundary: bytes = b"b") -> bytes:
    lines = b"".join([b"--" + boundary + b"\r\n" + body + b"\r\n" for body in bodies])
    return b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n" + lines + b"--" + boundary + b"--\r\n"


def test_offsets_of_a_part_exclude_its_delimiters():
    raw = mixed(b"X: 1\r\n\r\none", b"\r\ntwo\r\n")
    one, two = tree(raw).children
    assert raw[one.header_start : one.body_start] == b"X: 1\r\n\r\n"
    assert raw[one.body_start : one.end] == b"one"
    assert raw[two.header_start : two.body_start] == b"\r\n"
    assert raw[two.body_start : two.end] == b"two\r\n"
    assert (one.lines, two.lines) == (0, 1)


@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
def test_line_ends_do_not_change_the_shape(ending):
    inner = mixed(b"\r\none", b"Content-Type: text/html\r\n\r\ntwo", boundary=b"in")
    raw = mixed(inner, b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nthree").replace(b"\r\n", ending)
    inside = ("multipart/mixed", ["text/plain", "text/html"])
    assert shape(tree(raw)) == ("multipart/mixed", [inside, ("message/rfc822", ["text/plain"])])
    one = tree(raw).children[0].children[0]
    assert raw[one.body_start : one.end] == b"one"


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b"", "text/plain"),
        (b"\r\n", "text/plain"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n", ("multipart/mixed", ["text/plain"])),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b", ("multipart/mixed", ["text/plain"])),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b", ("multipart/mixed", ["text/plain", "text/plain"])),
        (b"Content-Type: multipart/mixed; boundary=b; boundary=c\r\n\r\n--b\r\n\r\nx\r\n--c\r\n", ("multipart/mixed", ["text/plain"])),
        (b"content-type : MULTIPART/Mixed;boundary = \"b \"\n\n--b\n\n1\n--b\n\n2", ("multipart/mixed", ["text/plain", "text/plain"])),
        (b"Content-Type: message/rfc822\r\n\r\n", ("message/rfc822", ["text/plain"])),
        (b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nx", "application/octet-stream"),
        (b"Content-Type: message/external-body; access-type=URL\r\n\r\nx", "message/external-body"),
        (b"Content-Type: text/html/x\r\n\r\n", "text/html"),
        (b"Content-Type: t\xe4xt/plain\r\n\r\n", "t/plain"),
        (b"Content-Type: /\r\n\r\n", "text/plain"),
    ],
)
def test_shapes(raw, wanted):
    assert shape(tree(raw)) == wanted


def test_a_part_may_hold_lines_that_look_like_delimiters():
    raw = mixed(b"\r\n--bb\r\n --b\r\n--b x\r\n--b-\r\n--b--x\r\nx--b")
    (one,) = tree(raw).children
    assert raw[one.body_start : one.end] == b"--bb\r\n --b\r\n--b x\r\n--b-\r\n--b--x\r\nx--b"


def test_what_follows_the_closing_delimiter_is_no_part():
    assert len(tree(mixed(b"\r\none") + b"--b\r\n\r\nghost\r\n--b--\r\n").children) == 1


def test_an_outer_delimiter_ends_everything_inside():
    inner = b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nthree"
    raw = mixed(inner, b"\r\nlast")
    first, last = tree(raw).children
    assert shape(first) == ("multipart/mixed", [("message/rfc822", ["text/plain"])])
    assert raw[last.body_start : last.end] == b"last"
    assert first.end == first.children[0].end == first.children[0].children[0].end


def nested(depth: int) -> bytes:
    return b"".join(b"Content-Type: multipart/mixed; boundary=b%dx\r\n\r\n--b%dx\r\n" % (level, level) for level in range(depth))


def deepest(part: Part) -> tuple[int, Part]:
    depth = 0
    while part.children:
        depth, part = depth + 1, part.children[0]
    return depth, part


def test_nesting_is_bounded():
    depth, leaf = deepest(tree(nested(10_000)))
    assert depth == scanner.MAX_DEPTH
    assert leaf.type == "application/octet-stream"
    depth, leaf = deepest(tree(b"Content-Type: message/rfc822\r\n\r\n" * 10_000))
    assert depth == scanner.MAX_DEPTH
    assert leaf.type == "application/octet-stream"


def test_parts_are_bounded_and_the_last_holds_the_rest():
    raw = mixed(*[b"\r\n%d" % number for number in range(100_000)])
    children = tree(raw).children
    assert len(children) == scanner.MAX_PARTS - 1
    assert raw[children[-2].body_start : children[-2].end] == b"%d" % (len(children) - 2)
    assert children[-1].end == len(raw)


def test_lookalikes_are_bounded():
    raw = mixed(b"\r\n" + b"--bx\r\n" * (scanner.MAX_LOOKALIKES + 1), b"\r\ntwo")
    assert len(tree(raw).children) == 1
    assert tree(raw).children[0].end == len(raw)


def test_header_octets_read_are_bounded():
    raw = b"X: " + b"x" * scanner.HEADER_LIMIT + b"\r\nContent-Type: text/html\r\n\r\nhello"
    assert tree(raw).type == "text/plain"
    assert raw[tree(raw).body_start :] == b"hello"


@pytest.mark.parametrize(
    "family",
    [
        lambda n: mixed(*[b"Content-Type: multipart/mixed; boundary=c%d\r\n\r\nx" % number for number in range(n)]),
        lambda n: mixed(*[b"Content-Type: multipart/mixed; boundary=b\r\n\r\nx" for _ in range(n)]),
        lambda n: nested(40) + b"--b39x\r\n\r\nx\r\n" * n,
        lambda n: mixed(*[b"\r\nx" for _ in range(n)]),
    ],
)
def test_work_grows_with_the_message(family, monkeypatch):
    """Octets searched for delimiters, at most nesting times the message's size."""
    counts = []
    plain = scanner._Scan._search
    for size in (500, 1_000):
        searched = 0

        def count(self, level, position, bound):
            nonlocal searched
            plain(self, level, position, bound)
            searched += level.at - position

        monkeypatch.setattr(scanner._Scan, "_search", count)
        raw = family(size)
        scanner.scan(raw)
        assert searched <= len(raw) * scanner.MAX_DEPTH
        counts.append(searched)
    assert counts[1] <= counts[0] * 2.5
