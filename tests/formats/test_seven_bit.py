"""Bodies of seven bits say what the bodies of eight bits said, by the word of Python's email package."""

import email
import random
from email.message import Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.formats import seven_bit

TEXTS = (
    "caf\u00e9",
    "plain",
    "=3D \u2603",
    "-- ",
    "--inner",
    "From me",
    ".",
    " \t",
    "x" * 80,
    "\u00e9" * 40,
    "a" * 30 + " --inner \u00e9",
    "",
)
CHARSETS = {"utf-8": "utf-8", "iso-8859-1": "latin-1"}


def generated(seed: int) -> bytes:
    """A message of nested parts, with texts of several charsets, lines that are long or look like delimiters, and octets of all kinds."""
    dice = random.Random(seed)
    head = ["From: a@example.test", "Subject: caf=?utf-8?q?=C3=A9?="] + ["MIME-Version: 1.0"] * dice.randint(0, 1)
    return "\r\n".join(head).encode() + b"\r\n" + entity(dice, 0, ())


def entity(dice: random.Random, depth: int, taken: tuple[str, ...]) -> bytes:
    roll = dice.random()
    if depth < 4 and roll < 0.5:
        return multipart(dice, depth, taken)
    if depth < 4 and roll < 0.6:
        inner = b"Subject: inner\r\n" + (b"MIME-Version: 1.0\r\n" if dice.random() < 0.5 else b"") + entity(dice, depth + 1, taken)
        return b"Content-Type: message/rfc822" + label(dice) + b"\r\n\r\n" + inner
    return leaf(dice)


def label(dice: random.Random) -> bytes:
    return dice.choice(
        [b"", b"\r\nContent-Transfer-Encoding: 8bit", b"\r\nContent-Transfer-Encoding:\r\n BINARY", b"\r\ncontent-transfer-encoding: 7Bit"]
    )


def multipart(dice: random.Random, depth: int, taken: tuple[str, ...]) -> bytes:
    boundary = f"{dice.choice(['b', 'in=C3=A9', 'x y', '-'])}{depth}"
    parts = [entity(dice, depth + 1, (*taken, boundary)) for _ in range(dice.randint(1, 3))]
    mark = f"--{boundary}".encode()
    preamble = dice.choice(["", "read this: \u00e9\r\n", "text\r\n"]).encode()
    body = (
        preamble
        + b"".join([mark + b"\r\n" + part + b"\r\n" for part in parts])
        + mark
        + b"--"
        + dice.choice([b"", b"\r\n", "\r\n\u00e9nd\r\n".encode()])
    )
    return (
        f'Content-Type: multipart/{dice.choice(["mixed", "alternative", "related"])}; boundary="{boundary}"'.encode()
        + label(dice)
        + b"\r\n\r\n"
        + body
    )


def leaf(dice: random.Random) -> bytes:
    kind = dice.random()
    if kind < 0.3:
        octets = bytes(dice.choices(range(256), k=dice.choice([0, 1, 57, 300])))
        return b"Content-Type: application/x-any; name=n\r\nContent-Transfer-Encoding: binary\r\n\r\n" + octets
    charset = dice.choice(list(CHARSETS))
    lines = dice.choices(TEXTS, k=dice.randint(0, 6))
    body = "\r\n".join(lines + dice.choice([[], [""], ["y" * 2000]])).encode(CHARSETS[charset], "replace")
    typed = f"Content-Type: text/plain; charset={charset}\r\n".encode() if dice.random() < 0.8 else b""
    return typed + b"Content-Transfer-Encoding: 8bit\r\nContent-ID: <a@b>\r\n\r\n" + body


def leaves(message: Message) -> list[tuple[str, str | None, bytes | None]]:
    """What a reader gets: the type of each part, its name and its octets."""
    return [
        (part.get_content_type(), part.get_filename(), None if part.is_multipart() else part.get_payload(decode=True))  # type: ignore[misc]
        for part in message.walk()
    ]


@pytest.mark.parametrize("seed", range(600))
def test_what_is_said_stays_the_same(seed: int) -> None:
    raw = generated(seed)
    made = seven_bit.convert(raw)
    assert made is not None
    assert seven_bit.fits(made)
    assert leaves(email.message_from_bytes(made)) == leaves(email.message_from_bytes(raw))
    assert seven_bit.convert(made) is made
    if made is not raw:
        parsed = email.message_from_bytes(made)
        assert not parsed.defects
        assert not {str(part["content-transfer-encoding"]).strip().lower() for part in parsed.walk()} & {"8bit", "binary"}
        for part in parsed.walk():
            assert not part.is_multipart() or str(part.get("content-transfer-encoding", "7bit")).strip().lower() == "7bit"


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_any_octets_whatever_come_to_an_end(octets: bytes) -> None:
    for raw in (
        octets,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + octets,
        b"Content-Type: message/rfc822\r\n\r\n" + octets,
    ):
        made = seven_bit.convert(raw)
        assert made is None or seven_bit.fits(made)


def part(header: bytes, body: bytes) -> bytes:
    return b"--b\r\n" + header + b"\r\n\r\n" + body + b"\r\n"


def wrapped(*parts: bytes, subtype: bytes = b"mixed") -> bytes:
    return b"MIME-Version: 1.0\r\nContent-Type: multipart/" + subtype + b"; boundary=b\r\n\r\n" + b"".join(parts) + b"--b--\r\n"


EIGHT = "caf\u00e9".encode()


@pytest.mark.parametrize(
    "raw",
    [
        wrapped(part(b"Content-Type: text/plain", EIGHT), part(b"Content-Type: application/pgp-signature", b"sig"), subtype=b"signed"),
        wrapped(part("Content-Disposition: attachment; filename=caf\u00e9".encode(), b"x")),
        wrapped(part(b"Content-Type: message/rfc822", b"Subject: " + EIGHT + b"\r\n\r\ntext")),
        wrapped(part(b"Content-Type: message/delivery-status", b"Reporting-MTA: dns; " + EIGHT)),
        wrapped(part(b"Content-Type: message/external-body; access-type=url", b"Content-Type: x/y\r\n\r\n" + EIGHT)),
        wrapped(part(b"Content-Transfer-Encoding: x-uuencode", EIGHT)),
        wrapped(part(b"Content-Type: multipart/mixed; boundary=c\r\nContent-Transfer-Encoding: base64", EIGHT)),
        wrapped(part(b"Content-Type: multipart/mixed; boundary=c", EIGHT)),
        wrapped(part(b"Content-Type: multipart/mixed", EIGHT)),
        wrapped(part(b"X: " + b"x" * 70_000, EIGHT)),
        wrapped(*[part(b"A: b", EIGHT)] * 1001),
        b"Content-Type: message/rfc822\r\n\r\n" * 45 + b"\r\n" + EIGHT,
        b"Content-Type: message/rfc822\r\n\r\n" * 90 + b"\r\n" + EIGHT,
    ],
    ids=range(13),
)
def test_what_cannot_be_encoded_is_left(raw: bytes) -> None:
    assert seven_bit.convert(raw) is None


def test_signed_parts_of_seven_bits_go_along() -> None:
    signed = (
        wrapped(part(b"Content-Type: text/plain", b"plain = text"), subtype=b"signed").replace(b"=b\r", b"=s\r").replace(b"--b", b"--s")
    )
    raw = wrapped(part(b"Content-Type: text/plain", EIGHT), b"--b\r\n" + signed)
    made = seven_bit.convert(raw)
    assert made is not None
    assert signed in made


@pytest.mark.parametrize(
    ("raw", "made"),
    [
        (b"Subject: x\r\n\r\n" + EIGHT + b"\r\n", b"Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ncaf=C3=A9\r\n"),
        (b"\r\ncaf\xe9 and much more", b"Content-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n\r\ncaf=E9 and much more"),
        (b"MIME-Version: 1.0\r\nContent-Type: image/x\r\n\r\n\xff\xfe", b"MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\n//4="),
        (b"Mime-Version: 1.0\r\nContent-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: \xc3\xa9", b"Mime-Version: 1.0\r\nContent-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogw6k="),
        (b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\nContent-Type: text/plain\r\n\r\nZm9\xe9v", b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\nContent-Type: text/plain\r\n\r\nZm9v"),
        (b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 7bit\r\nContent-Type: text/plain\r\n\r\nc\xe9 plain text", b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain\r\n\r\nc=E9 plain text"),
    ],
)  # fmt: skip
def test_how_it_is_written(raw: bytes, made: bytes) -> None:
    assert seven_bit.convert(raw) == made


def test_messages_that_others_may_have_signed_are_written_anew_only_where_they_must() -> None:
    raw = wrapped(part(b"Content-Type: text/plain", EIGHT), part(b"Content-Type: message/rfc822", b"Subject: x\r\n\r\n" + EIGHT))
    assert seven_bit.convert(raw, carried=False) is None
    assert (seven_bit.convert(raw) or b"").isascii()
    plain = wrapped(part(b"Content-Type: text/plain", EIGHT), part(b"Content-Type: message/rfc822", b"Subject: x\r\n\r\ntext"))
    assert seven_bit.convert(plain, carried=False) == seven_bit.convert(plain) != plain


def test_long_lines_are_broken() -> None:
    raw = b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n" + b"word " * 400 + b"\r\n"
    made = seven_bit.convert(raw)
    assert made is not None
    assert max(map(len, made.split(b"\r\n"))) <= 76
    assert seven_bit.convert(b"\r\n" + b"x" * 998 + b"\r\n") == b"\r\n" + b"x" * 998 + b"\r\n"
    assert seven_bit.convert(b"\r\n" + b"x" * 999 + b"\r\n") != b"\r\n" + b"x" * 999 + b"\r\n"


def test_the_header_of_the_message_stays_as_it_is() -> None:
    raw = "Subject: caf\u00e9\r\n\r\ncaf\u00e9 and more\r\n".encode()
    made = seven_bit.convert(raw)
    assert made is not None
    assert made.startswith("Subject: caf\u00e9\r\n".encode())
    assert seven_bit.convert("Subject: caf\u00e9\r\n\r\ntext\r\n".encode()) == "Subject: caf\u00e9\r\n\r\ntext\r\n".encode()
