"""Seals what others wrote and this server passes on, so that the next one can tell what was found out when it came in (RFC 8617 §5.1).

A seal is a set of three fields under the next number of the letter's chain: what this server found (AAR), a signature over the letter as it
leaves (AMS), and one over all sets (AS), which says whether the chain was whole when the letter came. One that was broken is said to be so
once, over that set alone (§5.1.2), and never mended.
"""

import base64

from postroom.formats import dkim
from postroom.mailflow import signing
from postroom.mailflow.assessment import Arc, Assessment, Result
from postroom.mailflow.authentication import arc, results
from postroom.mailflow.authentication.arc import MAX_INSTANCES, MAX_SEALS, Set
from postroom.mailflow.authentication.dkim import Fault, Letter
from postroom.mailflow.signing import Key

ALGORITHMS = ("rsa-sha256",)
"""What seals are made with: others are not known to whoever checks them (RFC 8617 §4.1.2)."""


def fields(raw: bytes, assessment: Assessment, domain: str, key: Key, now: float) -> bytes:
    """Seal a message with `even` lines for a domain, with an RSA key; gives the fields that are to stand before it.

    There are none where nobody looked who sent the letter, where the chain could not be checked just now, and where a seal says already
    that it is broken: that is the end of it.
    """
    known = assessment.authentication
    if known is None or known.says_nothing:
        return b""
    letter = Letter(raw)
    place = _place(letter, known.arc)
    if place is None:
        return b""
    before, number, state = place
    who, when = f"d={domain}; s={key.selector}", f"t={int(now)}"
    found = results.sealed_line(known, assessment.server, number)
    start = f"ARC-Message-Signature: i={number}; a={key.algorithm}; c=relaxed/relaxed;\r\n\t{who};\r\n\t{when}"
    signature = signing.signature(start, key, signing.covered(letter.fields, letter.body, also=(b"dkim-signature",)))
    return _seal(f"ARC-Seal: i={number}; a={key.algorithm}; {when}; cv={state};\r\n\t{who}", key, before, found, signature)


def _seal(start: str, key: Key, before: list[Set], found: bytes, signature: bytes) -> bytes:
    text = f"{start};\r\n\tb="
    made = key.sign(arc.sealed_header([*before, Set(found, signature, text.encode())]))
    return f"{text}{signing.folded(base64.b64encode(made).decode())}\r\n".encode() + signature + found


def _place(letter: Letter, found: Arc) -> tuple[list[Set], int, str] | None:
    """Give the sets that the next seal is over, its number, and what it says of the chain before it; None where there is to be none."""
    numbers = arc.numbers(letter)
    if not numbers:
        return ([], 1, "none") if not any(letter.fields.get(name) for name in arc.KINDS) else None
    highest = max(numbers)
    if found.result is Result.TEMPERROR or highest > MAX_SEALS or highest >= MAX_INSTANCES or _ended(letter, highest):
        return None
    try:
        sets = arc.collect(letter)
    except Fault:
        sets = []
    if found.result is Result.PASS and found.instances == len(sets) > 0:
        return sets, highest + 1, "pass"
    return [], highest + 1, "fail"


def _ended(letter: Letter, number: int) -> bool:
    """Say whether the last seal tells that the chain is broken."""
    for field in letter.fields.get(arc.SEAL, ()):
        try:
            tags = dkim.tags(field.partition(b":")[2])
        except ValueError:
            continue
        if tags.get("i") == str(number) and tags.get("cv", "").lower() == "fail":
            return True
    return False
