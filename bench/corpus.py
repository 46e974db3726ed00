"""Made-up mail, the same on every run: a fixed seed, sizes of 4 to 50 KB (mean about 13), three common shapes.

70 % plain text, 20 % text with HTML, 10 % with a base64 attachment; a vocabulary of 5,000 words drawn as in real text (the n-th word
1/n as often); one in 200 has MARKER in its text and one in 100 has SUBJECT_MARKER in its subject. Every message differs from
every other, so storing equal content once gains nothing.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass

MARKER = "quetzalcoatlus"
SUBJECT_MARKER = "zeitgeber"
COMMON = 40  # the rank of the word searched for as a common one

_LETTERS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "st", "tr", "ch")
_VOWELS = ("a", "e", "i", "o", "u", "ea", "ou")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words, and a bag to draw from in which frequent words lie more often."""

    words: tuple[str, ...]
    bag: tuple[str, ...]


def vocabulary(size: int = 5_000) -> Vocabulary:
    """Make the words; the same on every run."""
    chance = random.Random(1)
    words: dict[str, None] = {}
    while len(words) < size:
        syllables = chance.choice((1, 2, 2, 3, 3, 4))
        words["".join(chance.choice(_LETTERS) + chance.choice(_VOWELS) for _ in range(syllables)) + chance.choice(("", "n", "r", "s"))] = (
            None
        )
    ranked = tuple(words)
    return Vocabulary(ranked, tuple(word for rank, word in enumerate(ranked, 1) for _ in range(max(1, 6_000 // rank))))


def messages(count: int, *, seed: int = 4711, domain: str = "example.test") -> Iterator[bytes]:
    """Make `count` messages with CRLF line ends."""
    chance = random.Random(seed)
    words = vocabulary()
    for number in range(count):
        size = int(4_000 + 46_000 * chance.betavariate(0.8, 3.2))
        yield _message(chance, words, f"{seed}.{number}", number, size, domain)


def letters(count: int, size: int, *, seed: int, domain: str) -> Iterator[bytes]:
    """Make `count` plain letters of about `size` bytes."""
    chance = random.Random(seed)
    words = vocabulary()
    for number in range(count):
        head = _head(chance, words, f"{seed}.{number}", f"letter {number}", domain)
        yield _plain(head, _text(chance, words, size - len(head) - 120, ""))


def _message(chance: random.Random, words: Vocabulary, name: str, number: int, size: int, domain: str) -> bytes:
    subject = " ".join(chance.choices(words.bag, k=5))
    if number % 100 == 7:
        subject += f" {SUBJECT_MARKER}"
    marker = MARKER if number % 200 == 11 else ""
    head = _head(chance, words, name, subject, domain)
    shape = chance.random()
    if shape < 0.7:
        return _plain(head, _text(chance, words, size - len(head), marker))
    if shape < 0.9:
        return _alternative(head, name, _text(chance, words, size // 3, marker))
    return _attached(head, name, _text(chance, words, 1_500, marker), chance.randbytes(max(1_000, (size - 2_500) * 3 // 4)))


def _head(chance: random.Random, words: Vocabulary, name: str, subject: str, domain: str) -> str:
    sender, recipient = chance.choice(words.words), chance.choice(words.words)
    day, hour, minute = chance.randrange(1, 29), chance.randrange(24), chance.randrange(60)
    return (
        f"Return-Path: <{sender}@sender.test>\r\n"
        f"Received: from mail.sender.test (mail.sender.test [192.0.2.{chance.randrange(1, 255)}])\r\n"
        f"\tby mx.{domain} with ESMTPS id {chance.getrandbits(48):x}; {day} Jan 2026 {hour:02d}:{minute:02d}:00 +0000\r\n"
        f"Date: {day:02d} Jan 2026 {hour:02d}:{minute:02d}:{chance.randrange(60):02d} +0100\r\n"
        f"From: {sender.title()} {chance.choice(words.words).title()} <{sender}@sender.test>\r\n"
        f"To: {recipient.title()} <{recipient}@{domain}>, Team <team@{domain}>\r\n"
        f"Cc: {chance.choice(words.words)}@{domain}\r\n"
        f"Subject: {subject}\r\n"
        f"Message-ID: <{name}.{chance.getrandbits(64):x}@sender.test>\r\n"
        f"In-Reply-To: <{chance.getrandbits(64):x}@{domain}>\r\n"
        f"X-Mailer: Bench 1.0\r\n"
        f"MIME-Version: 1.0\r\n"
    )


def _text(chance: random.Random, words: Vocabulary, size: int, marker: str) -> str:
    """Draw words into lines of 11 until `size` bytes are about full."""
    drawn = chance.choices(words.bag, k=max(11, int(size / 5.2)))
    if marker:
        drawn[len(drawn) // 2] = marker
    lines = [" ".join(drawn[start : start + 11]) for start in range(0, len(drawn), 11)]
    text = "\r\n".join(lines)
    return text if marker else text[: max(size, 100)].removesuffix("\r")


def _plain(head: str, text: str) -> bytes:
    return f"{head}Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{text}\r\n".encode()


def _alternative(head: str, name: str, text: str) -> bytes:
    page = text.replace("\r\n", "<br>\r\n")
    return (
        f'{head}Content-Type: multipart/alternative; boundary="b-{name}"\r\n\r\n'
        f"--b-{name}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
        f"--b-{name}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>{page}</p>\r\n<p>{page}</p></body></html>\r\n"
        f"--b-{name}--\r\n"
    ).encode()


def _attached(head: str, name: str, text: str, content: bytes) -> bytes:
    encoded = base64.encodebytes(content).decode().replace("\n", "\r\n")
    return (
        f'{head}Content-Type: multipart/mixed; boundary="b-{name}"\r\n\r\n'
        f"--b-{name}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
        f'--b-{name}\r\nContent-Type: application/pdf; name="{name}.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
        f'Content-Disposition: attachment; filename="{name}.pdf"\r\n\r\n{encoded}'
        f"--b-{name}--\r\n"
    ).encode()
