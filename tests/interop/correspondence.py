"""Letters by the thousand, of which SPF, DKIM and DMARC say this and that, with the zone in which it stands; the same ones for the same seed."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass

import dkim as dkimpy
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from postroom.mailflow import signing

FAMILIES = {
    "plain": (),
    "reject": ("v=DMARC1; p=reject",),
    "quarantine": ("v=DMARC1; p=quarantine; rua=mailto:dmarc@quarantine.example",),
    "monitor": ("v=DMARC1;p=none;pct=100;fo=1",),
    "strict": ("v=DMARC1; p=reject; adkim=s; aspf=s",),
    "below": ("v=DMARC1; p=none; sp=reject",),
    "odd": ("v=DMARC1 ;  p = quarantine ; x=y;",),
    "twice": ("v=DMARC1; p=reject", "v=DMARC1; p=none"),
    "broken": ("v=DMARC1; policy=reject",),
}
"""Second-level domains under `example` and their DMARC records."""
SENDERS = {
    "four": "v=spf1 ip4:198.51.100.0/24 -all",
    "six": "v=spf1 ip6:2001:db8::/32 ~all",
    "soft": "v=spf1 ip4:192.0.2.1 ~all",
    "asked": "v=spf1 ?all",
    "hard": "v=spf1 -all",
    "includes": "v=spf1 include:four.plain.example -all",
    "leads": "v=spf1 redirect=four.plain.example",
    "host": "v=spf1 a:client.example -all",
    "mailer": "v=spf1 mx:client.example -all",
    "macro": "v=spf1 exists:%{ir}.listed.example -all",
    "silent": None,
    "wrong": "v=spf1 ip4:198.51.100.300 -all",
    "deep": "v=spf1 include:deep1.plain.example -all",
    "lost": "v=spf1 include:silent.plain.example -all",
}
"""Hosts in each of them and their SPF records."""
CLIENTS = ("198.51.100.7", "203.0.113.9", "2001:db8::25")
_WORDS = ["a", "b  c", "\tx", "café", "\u2603", "d \t ", "..", "=3D", "  ", "From me", "offer"]


@dataclass(frozen=True, slots=True)
class Keys:
    """A family's keys, made for the seed's run: `private` by selector, `records` by selector."""

    private: dict[str, bytes]
    records: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sent:
    """A letter as it comes in, with its envelope: from an author of this family, with so many signatures, and what was done to it then."""

    number: int
    client: str
    hello: str
    sender: str
    raw: bytes
    family: str
    signatures: int
    harm: str
    said: str


def keys() -> Keys:
    """Make the keys that all families share: RSA, Ed25519, one whose record is another's, one that is revoked, one without a record."""
    one, other, edwards = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()
    public = base64.b64encode(one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    short = base64.b64encode(edwards.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    private = {name: key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) for name, key in (("r", one), ("w", other), ("v", one), ("x", one))}
    private["e"] = edwards.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    records = {"r": f"v=DKIM1; k=rsa; p={public}", "e": f"v=DKIM1; k=ed25519; p={short}", "w": f"v=DKIM1; k=rsa; p={public}", "v": "v=DKIM1; k=rsa; p="}
    return Keys(private, records)


def zone(made: Keys) -> list[str]:
    """Write the zone `example.`"""
    lines = ["client.example. A 198.51.100.7", "client.example. AAAA 2001:db8::25", "client.example. MX 5 client.example.", "7.100.51.198.listed.example. A 127.0.0.2"]
    lines += [f'deep{at}.plain.example. TXT "v=spf1 include:deep{at + 1}.plain.example -all"' for at in range(1, 12)]
    for family, policies in FAMILIES.items():
        lines += [f'_dmarc.{family}.example. TXT "{policy}"' for policy in policies]
        lines += [f'{family}.example. TXT "v=spf1 ip4:198.51.100.7 -all"']
        lines += [f'{host}.{family}.example. TXT "{record}"' for host, record in SENDERS.items() if record]
        lines += [f"{host}.{family}.example. A 198.51.100.7" for host in SENDERS]
        for selector, text in made.records.items():
            pieces = " ".join(f'"{text[at : at + 250]}"' for at in range(0, len(text), 250))
            lines += [f"{selector}._domainkey.{name}. TXT {pieces}" for name in (f"{family}.example", f"four.{family}.example")]
    return lines


def letters(seed: int, count: int, made: Keys, now: float) -> Iterator[Sent]:
    """Write letters."""
    dice = random.Random(seed)
    for number in range(count):
        yield _letter(dice, number, made, now)


def _letter(dice: random.Random, number: int, made: Keys, now: float) -> Sent:
    family = dice.choice(list(FAMILIES))
    author = dice.choice([f"{family}.example", f"{family}.example", f"four.{family}.example"])
    envelope_family = dice.choice([family, family, dice.choice(list(FAMILIES))])
    host = dice.choice(["", "four", *SENDERS])
    domain = f"{host}.{envelope_family}.example".lstrip(".")
    sender = "" if dice.random() < 0.08 else f"bounces@{domain}"
    hello = domain if not sender else "client.example"
    raw, said = _message(dice, number, author), []
    for _ in range(dice.choice([0, 1, 1, 1, 2])):
        raw, how = _signed(dice, raw, family, made, now)
        said.append(how)
    raw, harm = _changed(dice, raw) if said else (raw, "")
    return Sent(number, dice.choice(CLIENTS), hello, sender, raw, family, len(said), harm, f"{author} <{sender or hello}> {' '.join(said)} {harm}")


def _message(dice: random.Random, number: int, author: str) -> bytes:
    def phrase() -> str:
        return " ".join(dice.choices(_WORDS, k=dice.randint(1, 5)))

    def fold() -> str:
        return dice.choice(["\r\n ", "\r\n\t", " ", "\r\n   "])

    lines = [f"From: {dice.choice(['M', 'M. Author'])} <m@{author}>", f"To:{fold()}x@far.example,{fold()}y@far.example", f"Subject: s{fold()}{dice.choice('abc')} z"]
    lines += [f"Message-ID: <{number}@{author}>", "Date: Thu, 1 Jan 2026 00:00:00 +0000  "]
    lines += dice.sample(["MIME-Version:1.0", "X-Other: 1", "References: <a@b>\r\n\t<c@d>", "CC:", "Reply-To: m@elsewhere.example"], k=3)
    dice.shuffle(lines)
    body = "".join(f"{phrase()}{dice.choice(['', ' ', chr(9)])}\r\n" for _ in range(dice.choice([0, 1, 5, 40])))
    return "\r\n".join([*lines, "", body + dice.choice(["", "\r\n" * 3, " \r\n\r\n", "an end\r\n"])]).encode()


def _signed(dice: random.Random, raw: bytes, family: str, made: Keys, now: float) -> tuple[bytes, str]:
    """Sign, mostly as we do, else as dkimpy does in a form that we never use."""
    whose = dice.choice([family, family, family, "plain"])
    domain = dice.choice([f"{whose}.example", f"{whose}.example", f"four.{whose}.example"])
    selector = dice.choice(["r", "r", "r", "e", "w", "v", "x"])
    if selector == "e" or dice.random() < 0.6:
        return signing.fields(raw, domain, [signing.load(selector, made.private[selector])], now) + raw, f"ours:{selector}:{domain}"
    head, body = (dice.choice([b"simple", b"relaxed"]) for _ in range(2))
    pem = b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(made.private[selector]) + b"-----END PRIVATE KEY-----\n"
    field = dkimpy.sign(raw, selector.encode(), domain.encode(), pem, canonicalize=(head, body), include_headers=[b"from", b"to", b"subject"])
    return field + raw, f"dkimpy:{selector}:{domain}:{head.decode()}/{body.decode()}"


def _changed(dice: random.Random, raw: bytes) -> tuple[bytes, str]:
    """Do to a signed letter what happens on the way, or nothing."""
    harm = dice.choice(["", "", "", "body", "subject", "blanks", "empty lines", "another field"])
    head, _, body = raw.partition(b"\r\n\r\n")
    match harm:
        case "body":
            body += b"one more line\r\n"
        case "subject":
            head = head.replace(b"Subject: s", b"Subject: other", 1)
        case "blanks":
            head = head.replace(b"Subject: s", b"Subject:   s", 1)
        case "empty lines":
            body += b"\r\n\r\n"
        case "another field":
            head = b"X-Passed: through\r\n" + head
    return head + b"\r\n\r\n" + body, harm
