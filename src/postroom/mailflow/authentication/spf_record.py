"""What an SPF record says: its text read whole, before any of it is obeyed (RFC 7208 §4.6)."""

import ipaddress
import re
from dataclasses import dataclass
from typing import NoReturn

from postroom.mailflow.assessment import Result

MAX_RECORD = 4096
"""Characters of a record that is read."""
_QUALIFIERS = {"+": Result.PASS, "-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}
_TERM = re.compile(r"(?P<qualifier>[+\-~?]?)(?P<name>[A-Za-z][A-Za-z0-9_.-]*)(?P<sign>[:=/]?)(?P<rest>.*)\Z", re.S)
_CIDR = re.compile(r"(?P<domain>.*?)(?:/(?P<four>[0-9]+))?(?://(?P<six>[0-9]+))?\Z", re.S)
_TOP = re.compile(r"(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])\.?\Z")
MACRO = re.compile(
    r"%(?:\{(?P<letter>[A-Za-z])(?P<digits>[0-9]*)(?P<reverse>[Rr]?)(?P<delimiters>[.\-+,/_=]*)\}|(?P<literal>[%_-])|(?P<bad>.?))", re.S
)


class Stop(Exception):
    """The evaluation is over, whatever else stands in the record."""

    def __init__(self, result: Result, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A term that fits or does not: its name, what comes of it if it fits, and what stands behind the name."""

    name: str
    result: Result
    rest: str


@dataclass(frozen=True, slots=True)
class Record:
    """A record: its mechanisms in order, and what its modifiers say, as it stands."""

    mechanisms: tuple[Mechanism, ...]
    redirect: str | None = None
    explanation: str | None = None


def parse(record: str) -> Record:
    """Read a record whole, before any of it is obeyed (RFC 7208 §4.6)."""
    if len(record) > MAX_RECORD or not record.isascii() or any(char < " " or char == "\x7f" for char in record):
        refuse("no record can be like this")
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, str] = {}
    for text in record[len("v=spf1") :].split():
        term = _TERM.match(text)
        if term is None:
            refuse(f"{text[:40]} is no term")
        name = term["name"].lower()
        if term["sign"] == "=":
            _check_modifier(name, term, modifiers)
        else:
            mechanisms.append(_mechanism(name, term))
    return Record(tuple(mechanisms), modifiers.get("redirect"), modifiers.get("exp"))


def _check_modifier(name: str, term: "re.Match[str]", modifiers: dict[str, str]) -> None:
    if term["qualifier"]:
        refuse("a modifier has no qualifier")
    if name in ("redirect", "exp"):
        if name in modifiers:
            refuse(f"{name} stands there twice")
        _check_domain(term["rest"])
        modifiers[name] = term["rest"]
    else:
        check_macros(term["rest"])


def _mechanism(name: str, term: "re.Match[str]") -> Mechanism:
    sign, rest = term["sign"], term["rest"]
    if name == "all":
        if sign:
            refuse("all stands alone")
    elif name in ("include", "exists"):
        if sign != ":":
            refuse(f"{name} needs a domain")
        _check_domain(rest)
    elif name in ("ip4", "ip6"):
        if sign != ":":
            refuse(f"{name} needs a network")
        network(name, rest)
    elif name in ("a", "mx", "ptr"):
        if sign == ":" and not rest:
            refuse(f"{name} needs a domain behind its colon")
        rest = ("/" if sign == "/" else "") + rest
        domain, _, _ = cidr(rest) if name != "ptr" else (rest, 0, 0)
        if name == "ptr" and sign == "/":
            refuse("ptr has no mask")
        if sign == ":" and not domain:
            refuse(f"{name} needs a domain behind its colon")
        if domain:
            _check_domain(domain)
    else:
        refuse(f"unknown mechanism {name[:40]}")
    return Mechanism(name, _QUALIFIERS[term["qualifier"] or "+"], rest)


def _check_domain(text: str) -> None:
    """Refuse what cannot be a domain: its end is a macro or a top-level label (RFC 7208 §7.1)."""
    check_macros(text)
    if not text:
        refuse("a domain is missing")
    if text.endswith("}") and MACRO.search(text, text.rfind("%")):
        return
    last = text.removesuffix(".").rpartition(".")
    if not last[1] or not _TOP.match(last[2]):
        refuse(f"{text[:60]} is no domain")


def check_macros(text: str, letters: str = "slodiphv") -> None:
    """Refuse macros that are none, or of other letters (RFC 7208 §7.1)."""
    for macro in MACRO.finditer(text):
        letter = macro["letter"]
        if macro["bad"] is not None or (letter and letter.lower() not in letters) or (macro["digits"] and int(macro["digits"][:4]) == 0):
            refuse(f"{macro[0][:10]} is no macro")


def cidr(text: str) -> tuple[str, int, int]:
    """Split `domain/24//64` into domain and prefix lengths (RFC 7208 §5.6)."""
    match = _CIDR.match(text)
    assert match is not None
    four, six = match["four"], match["six"]
    for digits, most in ((four, 32), (six, 128)):
        if digits and (len(digits) > 3 or int(digits) > most or (digits[0] == "0" and digits != "0")):
            refuse("no such mask")
    _, slash, behind = match["domain"].rpartition("/")
    if slash and (not behind or behind.isdigit()):
        refuse("no such mask")
    return match["domain"], int(four) if four else 32, int(six) if six else 128


def network(name: str, text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Read the network of an `ip4` or `ip6` (RFC 7208 §5.6)."""
    address, slash, mask = text.partition("/")
    if slash and not re.fullmatch(r"0|[1-9][0-9]{0,2}", mask, re.ASCII):
        refuse("no such mask")
    try:
        if name == "ip4":
            return ipaddress.IPv4Network(text, strict=False)
        if "%" in address:
            refuse("no address")
        return ipaddress.IPv6Network(text, strict=False)
    except ValueError:
        refuse(f"{text[:60]} is no network")


def refuse(reason: str) -> NoReturn:
    """End the evaluation, as nobody can make sense of the record."""
    raise Stop(Result.PERMERROR, reason)
