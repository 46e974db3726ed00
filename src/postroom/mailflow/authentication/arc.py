"""ARC: who has passed a letter on, and what each of them found out about it (RFC 8617 §5.2).

Every hand it went through has left a set of three fields with a number: what it found (AAR), a signature over the letter (AMS), and a seal
over all sets so far (AS). The chain is whole when the last signature holds and so does every seal.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from postroom.formats import dkim
from postroom.mailflow.assessment import Arc, Result
from postroom.mailflow.authentication.dkim import Fault, Letter, check, check_signature, read
from postroom.mailflow.authentication.questions import Check

MAX_INSTANCES = 50
"""Sets of a chain (RFC 8617 §4.2.1)."""
MAX_SEALS = 20
"""Seals that are checked; who has more to show has no whole chain."""
RESULTS, SIGNATURE, SEAL = b"arc-authentication-results", b"arc-message-signature", b"arc-seal"
KINDS = (RESULTS, SIGNATURE, SEAL)
_INSTANCE = re.compile(rb"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*([0-9]{1,3})[ \t\r\n]*(?:;|\Z)")


@dataclass(frozen=True, slots=True)
class Set:
    """What one hand has left, each field whole."""

    results: bytes
    signature: bytes
    seal: bytes


def verify(letter: Letter, now: float) -> Check[Arc]:
    """Check the chain of a letter, at a time in epoch seconds."""
    sets: list[Set] = []
    try:
        sets = collect(letter)
        if not sets:
            return Arc()
        seals = [_tags(one.seal) for one in sets]
        _check_states(seals)
        yield from _check_message(letter, sets[-1], len(sets), now)
        for number in range(len(sets), 0, -1):
            yield from _check_seal(sets[:number], seals[number - 1], now)
    except Fault as fault:
        result = Result.TEMPERROR if fault.result is Result.TEMPERROR else Result.FAIL
        return Arc(result, len(sets), reason=fault.reason)
    return Arc(Result.PASS, len(sets), seals[-1]["d"].lower())


def collect(letter: Letter) -> list[Set]:
    """Put the fields of a letter into sets by their numbers; raises `Fault` where they do not make a chain."""
    kinds = [_by_number(letter, name) for name in KINDS]
    count = max(len(kind) for kind in kinds)
    if count > min(MAX_INSTANCES, MAX_SEALS):
        raise Fault(Result.FAIL, "too many sets")
    wanted = set(range(1, count + 1))
    if any(set(kind) != wanted for kind in kinds):
        raise Fault(Result.FAIL, "a set is not whole")
    return [Set(*[kind[number] for kind in kinds]) for number in range(1, count + 1)]


def numbers(letter: Letter) -> set[int]:
    """Give the numbers that stand in the fields of a letter, whether they make a chain or not."""
    found = set()
    for name in KINDS:
        for field in letter.fields.get(name, ())[: MAX_INSTANCES + 1]:
            try:
                found.add(_number(name, field) or 0)
            except Fault:
                continue
    return found - {0}


def sealed_header(sets: list[Set]) -> bytes:
    """Give the octets that the seal of the last of these sets is over (RFC 8617 §5.1.1)."""
    parts = [dkim.relaxed_header(field) for one in sets for field in (one.results, one.signature, one.seal)]
    parts[-1] = dkim.relaxed_header(dkim.without_signature(sets[-1].seal))
    return b"".join(parts)


def _by_number(letter: Letter, name: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    values = letter.fields.get(name, ())
    if len(values) > MAX_INSTANCES:
        raise Fault(Result.FAIL, "too many sets")
    for field in values:
        number = _number(name, field)
        if number is None or number in found or not 1 <= number <= MAX_INSTANCES:
            raise Fault(Result.FAIL, "a number is wrong")
        found[number] = field
    return found


def _number(name: bytes, field: bytes) -> int | None:
    value = field.partition(b":")[2]
    if name == RESULTS:  # its other parts are no tag list
        match = _INSTANCE.match(value)
        return int(match[1]) if match else None
    text = _tags(field).get("i", "")
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text, re.ASCII) else None


def _tags(field: bytes) -> dict[str, str]:
    try:
        return dkim.tags(field.partition(b":")[2])
    except ValueError as error:
        raise Fault(Result.FAIL, str(error)) from None


def _check_states(seals: list[dict[str, str]]) -> None:
    """See that each seal says what its place in the chain asks for (RFC 8617 §5.2, steps 2 and 3)."""
    for number, tags in enumerate(seals, 1):
        if tags.get("cv", "").lower() != ("none" if number == 1 else "pass"):
            raise Fault(Result.FAIL, f"the seal {number} says that the chain was broken before it")
        if "h" in tags:
            raise Fault(Result.FAIL, f"the seal {number} has a list of fields")


def _check_message(letter: Letter, last: Set, number: int, now: float) -> Check[None]:
    tags = _tags(last.signature)
    claim = read(_complete(tags), ("a", "b", "bh", "d", "h", "s"), now)
    if SEAL in claim.names:
        raise Fault(Result.FAIL, f"the signature {number} covers a seal")
    yield from check(letter, last.signature, claim)


def _check_seal(sets: list[Set], tags: Mapping[str, str], now: float) -> Check[None]:
    claim = read({**_complete(tags), "h": "from", "c": "relaxed/relaxed"}, ("a", "b", "d", "s"), now)
    yield from check_signature(claim, sealed_header(sets))


def _complete(tags: Mapping[str, str]) -> dict[str, str]:
    """Leave out the number, which is no identity here."""
    return {name: value for name, value in tags.items() if name != "i"}
