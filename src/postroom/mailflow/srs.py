"""The Sender Rewriting Scheme: return paths of letters that a user sends on, so that SPF finds them ours and bounces find their way back.

    SRS0=mark=day=far.test=author@ours.test     stands for author@far.test
    SRS1=mark=far.test==...@ours.test           stands for SRS0=...@far.test, which has rewritten it before

The mark is made with a key of the organization, so that nobody else can write such an address; it is good for three weeks. Servers on the
way may write an address in small letters, so case does not matter to it. Only bounces go back by it (RFC 5321 §4.5.5).
"""

import base64
import hmac
import re

from postroom.storage.engine import Tx

DAYS = 21
"""Days for which a bounce finds its way back; longer than any queue keeps a letter."""
LONGEST = 64
"""Octets of a local part (RFC 5321 §4.5.3.1.1)."""
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_CYCLE = 1024
_MARK = 8
_PLAIN = re.compile(r"[^\x00-\x20\"(),:;<>@\[\\\]\x7f]+")
_FIRST = re.compile(r"srs0[=+-]([a-z2-7]{8})=([a-z2-7]{2})=([^=]+)=(.+)", re.IGNORECASE | re.DOTALL)
_LATER = re.compile(r"srs1[=+-]([a-z2-7]{8})=([^=]+)=([=+-].+)", re.IGNORECASE | re.DOTALL)
_THEIR_FIRST = re.compile(r"srs0([=+-].+)", re.IGNORECASE | re.DOTALL)
_THEIR_LATER = re.compile(r"srs1[=+-][^=]+=([^=]+)=([=+-].+)", re.IGNORECASE | re.DOTALL)


def forward(tx: Tx, sender: str, domain: str) -> str:
    """Give the return path, in a domain of ours, of a letter that goes on; what cannot be rewritten stays as it is, like the null one."""
    local, _, place = sender.rpartition("@")
    if not _PLAIN.fullmatch(local) or not _PLAIN.fullmatch(place):
        return sender
    new = f"{_rewritten(tx, local, place, domain)}@{domain}"
    return new if len(new.rpartition("@")[0].encode()) <= LONGEST else sender


def reverse(tx: Tx, address: str) -> str | None:
    """Give the address that a return path of ours stands for; None for what is none, is forged or too old."""
    local, _, domain = address.rpartition("@")
    if match := _FIRST.fullmatch(local):
        mark, day, place, author = match.groups()
        good = _same(mark, _mark(tx, day, place, author, domain)) and _age(tx, day) <= DAYS
        return f"{author}@{place}" if good else None
    if match := _LATER.fullmatch(local):
        mark, place, rest = match.groups()
        return f"SRS0{rest}@{place}" if _same(mark, _mark(tx, "srs1", place, rest, domain)) else None
    return None


def origin(address: str) -> str:
    """Give the address that a return path stands for by its text alone, whoever wrote it; the address itself when it is no such one."""
    local = address.rpartition("@")[0]
    if match := _FIRST.fullmatch(local):
        return f"{match[4]}@{match[3]}"
    if match := _LATER.fullmatch(local):
        return f"SRS0{match[3]}@{match[2]}"
    return address


def _rewritten(tx: Tx, local: str, place: str, domain: str) -> str:
    if match := _THEIR_FIRST.fullmatch(local):
        rest = match[1]
    elif match := _THEIR_LATER.fullmatch(local):
        place, rest = match.groups()
    else:
        day = _day(tx)
        return f"SRS0={_mark(tx, day, place, local, domain)}={day}={place}={local}"
    return f"SRS1={_mark(tx, 'srs1', place, rest, domain)}={place}={rest}"


def _mark(tx: Tx, *parts: str) -> str:
    text = "\0".join(part.lower() for part in parts).encode()
    return base64.b32encode(tx.blobs.mark(text, "return path"))[:_MARK].decode().lower()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.lower().encode(), wanted.encode())


def _day(tx: Tx) -> str:
    number = int(tx.now // 86_400) % _CYCLE
    return _ALPHABET[number // 32] + _ALPHABET[number % 32]


def _age(tx: Tx, day: str) -> int:
    day = day.lower()
    number = _ALPHABET.index(day[0]) * 32 + _ALPHABET.index(day[1])
    return (int(tx.now // 86_400) - number) % _CYCLE
