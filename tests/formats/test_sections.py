"""BODY[...]: what each section name cuts out (RFC 9051 §6.4.5)."""

import pytest

from postroom.formats import sections
from postroom.formats.message import summarize
from postroom.formats.sections import Section, binary, headers, parse, section
from postroom.model import errors

# The example of RFC 9051 §6.4.5.1: a mixed message of text, file, message (with two parts) and mixed (with an image and a message).
INNER = b"Subject: inner\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\n3.1\r\n--i\r\nA: b\r\n\r\n3.2\r\n--i--\r\n"
DEEP = b"Subject: deep\r\nContent-Type: multipart/alternative; boundary=k\r\n\r\n--k\r\n\r\n4.2.1\r\n--k\r\nC: d\r\n\r\n4.2.2\r\n--k--\r\n"
RAW = (
    b"From: a@b.test\r\nSubject: outer\r\nX-List: one\r\n two\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"
    b"--o\r\nX: 1\r\n\r\n1\r\n"
    b"--o\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8=\r\n"
    b"--o\r\nContent-Type: message/rfc822\r\n\r\n" + INNER + b"\r\n"
    b"--o\r\nContent-Type: multipart/mixed; boundary=j\r\n\r\n--j\r\nContent-Type: image/gif\r\n\r\n4.1\r\n"
    b"--j\r\nY: 2\r\nContent-Type: message/rfc822\r\n\r\n" + DEEP + b"\r\n--j--\r\n\r\n--o--\r\n"
)
PARTS = summarize(RAW).parts
HEADER, TEXT = RAW[: RAW.index(b"--o")], RAW[RAW.index(b"--o") :]


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("", RAW),
        ("HEADER", HEADER),
        ("TEXT", TEXT),
        ("1", b"1"),
        ("1.MIME", b"X: 1\r\n\r\n"),
        ("2", b"aGVs\r\nbG8="),
        ("3", INNER),
        ("3.HEADER", INNER[: INNER.index(b"--i")]),
        ("3.TEXT", INNER[INNER.index(b"--i") :]),
        ("3.MIME", b"Content-Type: message/rfc822\r\n\r\n"),
        ("3.1", b"3.1"),
        ("3.2", b"3.2"),
        ("3.2.mime", b"A: b\r\n\r\n"),
        ("4.1", b"4.1"),
        ("4.1.MIME", b"Content-Type: image/gif\r\n\r\n"),
        ("4.2", DEEP),
        ("4.2.header", DEEP[: DEEP.index(b"--k")]),
        ("4.2.HEADER.FIELDS (subject)", b"Subject: deep\r\n\r\n"),
        ("4.2.1", b"4.2.1"),
        ("4.2.2", b"4.2.2"),
        ("4.2.2.MIME", b"C: d\r\n\r\n"),
        ("HEADER.FIELDS (SUBJECT From)", b"From: a@b.test\r\nSubject: outer\r\n\r\n"),
        ('HEADER.FIELDS ("x-list" nope)', b"X-List: one\r\n two\r\n\r\n"),
        ("HEADER.FIELDS (Sub X Lis)", b"\r\n"),
        ("HEADER.FIELDS.NOT (content-type SUBJECT x-list)", b"From: a@b.test\r\n\r\n"),
        ("HEADER.FIELDS.NOT (nope)", HEADER),
        ("5", None),
        ("0", None),
        ("1.1", None),
        ("1.HEADER", None),
        ("1.TEXT", None),
        ("4.HEADER", None),
        ("3.3", None),
        ("3.1.1", None),
        ("MIME", None),
        ("HEADER.FIELDS", None),
        ("TEXT (a)", None),
        ("WHAT", None),
        ("1..2", None),
    ],
)
def test_sections(spec, wanted):
    assert section(RAW, PARTS, spec) == wanted


def test_a_message_of_one_part():
    raw = b"Subject: x\r\n\r\nbody"
    packed = summarize(raw).parts
    assert section(raw, packed, "1") == b"body"
    assert section(raw, packed, "1.MIME") == b"Subject: x\r\n\r\n"
    assert section(raw, packed, "1.HEADER") is None
    assert section(raw, packed, "2") is None


def test_a_message_that_is_a_message():
    raw = b"Subject: x\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nbody"
    packed = summarize(raw).parts
    assert section(raw, packed, "HEADER.FIELDS (SUBJECT)") == b"Subject: x\r\n\r\n"
    assert section(raw, packed, "1") == b"Subject: y\r\n\r\nbody"
    assert section(raw, packed, "1.HEADER") == b"Subject: y\r\n\r\n"
    assert section(raw, packed, "1.1") == b"body"
    assert section(raw, packed, "1.1.1") is None


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (b"A: 1\nB: 2\n\n", b"A: 1\n\r\n"),
        (b"A: 1", b"A: 1\r\n\r\n"),
        (b"B: 1\r\n\ta: 2\r\nA : 3\r\n\r\n", b"A : 3\r\n\r\n"),
        (b"a:\r\nA:\r\nAb: x\r\n\r\n", b"a:\r\nA:\r\n\r\n"),
        (b"", b"\r\n"),
        (b"\r\n", b"\r\n"),
    ],
)
def test_fields_of_odd_headers(header, wanted):
    assert section(header, summarize(header).parts, "HEADER.FIELDS (A)") == wanted


def test_the_typed_form_says_the_same():
    assert parse("3.HEADER.FIELDS (a B)") == Section((3,), "HEADER.FIELDS", ("a", "B"))
    assert section(RAW, PARTS, Section((3,), "HEADER.FIELDS", ("SUBJECT",))) == b"Subject: inner\r\n\r\n"
    assert section(RAW, PARTS, Section()) == RAW


def test_binary_undoes_the_transfer_encoding():
    assert binary(RAW, PARTS, (2,)) == b"hello"
    assert binary(RAW, PARTS, (1,)) == b"1"
    assert binary(RAW, PARTS, (3,)) == INNER
    assert binary(RAW, PARTS, ()) == RAW
    assert binary(RAW, PARTS, (9,)) is None
    quoted = b"Content-Transfer-Encoding: Quoted-Printable\r\n\r\na=20b=\r\nc\r\n"
    assert binary(quoted, summarize(quoted).parts, (1,)) == b"a bc\r\n"


def test_binary_of_an_unknown_encoding_is_refused():
    raw = b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin"
    with pytest.raises(errors.Unsupported):
        binary(raw, summarize(raw).parts, (1,))


def test_headers_are_listed_in_order():
    raw = b"A: 1\r\nno field\r\nb : two\r\n folds\r\nA: =?utf-8?q?x?=\r\n\r\nC: 3\r\n"
    assert headers(raw) == [("A", "1"), ("b", "two folds"), ("A", "=?utf-8?q?x?=")]


def test_body_is_bodystructure_without_extensions():
    raw = (
        b"Content-Type: multipart/mixed; boundary=\"(b\\\"\"\r\nContent-Language: de, en\r\n\r\n"
        b"--(b\"\r\nContent-Description: \xff)(\"\r\nContent-Disposition: inline; a=\"(\"\r\n\r\nx\r\n"
        b"--(b\"\r\nContent-Type: message/rfc822\r\nContent-MD5: x\r\n\r\nSubject: {3}\r\nFrom: a@b\r\n\r\ny\r\n--(b\"--\r\n"
    )
    address = b'((NIL NIL "a" "b"))'
    assert sections.body(summarize(raw).structure) == (
        b'(("text" "plain" ("charset" "us-ascii") NIL {4}\r\n\xff)(" "7bit" 1 0)'
        b'("message" "rfc822" NIL NIL NIL "7bit" 28 (NIL "{3}" ' + b" ".join([address] * 3) + b" NIL NIL NIL NIL NIL)"
        b' ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0) 3) "mixed")'
    )
