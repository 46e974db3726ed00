"""SPF: whether a domain lets an address send mail in its name (RFC 7208).

A record is a list of terms from which the first that fits decides. What it may cost is bounded as §4.6.4 says: ten terms that ask DNS, two
answers that are empty, ten hosts of an MX or PTR; so a record that leads round in circles ends.
"""

import ipaddress
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass

from postroom.mailflow.assessment import Result, Spf
from postroom.mailflow.authentication import spf_record
from postroom.mailflow.authentication.questions import Check, Query, is_same
from postroom.mailflow.resolver import NoAnswer, NoSuchName
from postroom.model.addresses import domain_key
from postroom.model.errors import InvalidParameter

MOST_TERMS = 10
MOST_EMPTY = 2
MOST_HOSTS = 10
_LABEL = re.compile(r"[^.\x00-\x1f\x7f]{1,63}\Z")
_LITERALS = {"%": "%", "_": " ", "-": "%20"}
_ASKING = frozenset({"a", "mx", "ptr", "exists", "include"})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(slots=True)
class _Evaluation:
    """One evaluation: whose mail it is, and what has been asked so far."""

    address: Address
    sender: str
    hello: str
    now: float
    receiver: str
    terms: int = 0
    empty: int = 0
    explanation: str = ""
    names: list[str] | None = None

    def count_term(self) -> None:
        self.terms += 1
        if self.terms > MOST_TERMS:
            raise spf_record.Stop(Result.PERMERROR, "too many look-ups")

    def count_empty(self) -> None:
        self.empty += 1
        if self.empty > MOST_EMPTY:
            raise spf_record.Stop(Result.PERMERROR, "too many look-ups that find nothing")


@dataclass(frozen=True, slots=True)
class Client:
    """Who brings a letter: its address and what it calls itself; `receiver` is this server's name."""

    address: str
    hello: str
    receiver: str = "unknown"


def check(client: Client, sender: str, now: float) -> Check[Spf]:
    """Check a MAIL FROM, and the HELO where there is none or it says nothing (RFC 7208 §2.3, §2.4)."""
    domain = sender.rpartition("@")[2]
    if domain:
        result = yield from evaluate(client, sender, domain, now)
        return Spf(result.result, _shown(domain), "mailfrom", result.reason)
    result = yield from evaluate(client, f"postmaster@{client.hello}", client.hello, now)
    return Spf(result.result, _shown(client.hello), "helo", result.reason)


def evaluate(client: Client, sender: str, domain: str, now: float) -> Check[Spf]:
    """Evaluate the record of a domain (RFC 7208 §4, check_host); the reason is the domain's own explanation of a fail, if it has one."""
    try:
        address = ipaddress.ip_address(client.address.partition("%")[0])
    except ValueError:
        return Spf(Result.NONE, domain)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    local, at, behind = sender.rpartition("@")
    whole = f"{local or 'postmaster'}@{behind}" if at else f"postmaster@{sender}"
    evaluation = _Evaluation(mapped or address, whole, client.hello, now, client.receiver)
    try:
        result = yield from _check_host(evaluation, domain, top=True)
    except spf_record.Stop as stop:
        return Spf(stop.result, domain, reason=stop.reason)
    return Spf(result, domain, reason=evaluation.explanation if result is Result.FAIL else "")


def _check_host(evaluation: _Evaluation, domain: str, *, top: bool = False) -> Check[Result]:
    name = _ascii(domain)
    if name is None:
        return Result.NONE
    record = yield from _find(name)
    if record is None:
        return Result.NONE
    parsed = spf_record.parse(record)
    for mechanism in parsed.mechanisms:
        if (yield from _matches(evaluation, mechanism, name)):
            if top and mechanism.result is Result.FAIL and parsed.explanation:
                evaluation.explanation = yield from _explain(evaluation, parsed.explanation, name)
            return mechanism.result
    if parsed.redirect is None:
        return Result.NEUTRAL
    evaluation.count_term()
    target = yield from _expand(evaluation, parsed.redirect, name)
    if _ascii(target) is None:
        raise spf_record.Stop(Result.PERMERROR, "redirect to no domain")
    result = yield from _check_host(evaluation, target, top=top)
    if result is Result.NONE:
        raise spf_record.Stop(Result.PERMERROR, "redirect to a domain without a record")
    return result


def _find(domain: str) -> Check[str | None]:
    """Find the one record of a domain (RFC 7208 §4.5)."""
    try:
        texts = yield Query("TXT", domain)
    except NoSuchName:
        return None
    except NoAnswer:
        raise spf_record.Stop(Result.TEMPERROR, f"{domain} cannot be asked for") from None
    found = [text for text in texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]
    if len(found) > 1:
        raise spf_record.Stop(Result.PERMERROR, f"{domain} has several records")
    return found[0] if found else None


def _matches(evaluation: _Evaluation, mechanism: spf_record.Mechanism, domain: str) -> Check[bool]:
    name = mechanism.name
    if name in _ASKING:
        evaluation.count_term()
    if name == "all":
        return True
    if name in ("ip4", "ip6"):
        return evaluation.address in spf_record.network(name, mechanism.rest)
    if name == "include":
        return (yield from _include(evaluation, mechanism.rest, domain))
    if name == "exists":
        target = yield from _expand(evaluation, mechanism.rest, domain)
        return bool((yield from _ask(evaluation, "A", target)))
    if name == "ptr":
        return (yield from _ptr(evaluation, mechanism.rest, domain))
    given, four, six = spf_record.cidr(mechanism.rest)
    target = (yield from _expand(evaluation, given, domain)) if given else domain
    length = four if evaluation.address.version == 4 else six
    if name == "a":
        return (yield from _has_address(evaluation, target, length))
    hosts = yield from _ask(evaluation, "MX", target)
    if len(hosts) > MOST_HOSTS:
        spf_record.refuse("too many exchanges")
    for host in hosts:
        if host and (yield from _has_address(evaluation, host, length)):
            return True
    return False


def _include(evaluation: _Evaluation, text: str, domain: str) -> Check[bool]:
    target = yield from _expand(evaluation, text, domain)
    result = yield from _check_host(evaluation, target)
    if result is Result.NONE:
        spf_record.refuse(f"{target[:100]} has no record to include")
    return result is Result.PASS


def _has_address(evaluation: _Evaluation, host: str, length: int) -> Check[bool]:
    kind = "A" if evaluation.address.version == 4 else "AAAA"
    found = yield from _ask(evaluation, kind, host)
    for text in found:
        try:
            if evaluation.address in ipaddress.ip_network(f"{text}/{length}", strict=False):
                return True
        except ValueError:
            continue
    return False


def _ptr(evaluation: _Evaluation, text: str, domain: str) -> Check[bool]:
    target = _ascii((yield from _expand(evaluation, text, domain)) if text else domain)
    names = yield from _valid_names(evaluation)
    return target is not None and any(name == target or name.endswith("." + target) for name in names)


def _valid_names(evaluation: _Evaluation) -> Check[list[str]]:
    """List the names of the client's address that lead back to it (RFC 7208 §5.5); one that cannot be asked for is none."""
    if evaluation.names is None:
        evaluation.names = []
        try:
            found = yield Query("PTR", str(evaluation.address))
        except (NoSuchName, NoAnswer):
            found = []
        if not found:
            evaluation.count_empty()
        kind = "A" if evaluation.address.version == 4 else "AAAA"
        for name in found[:MOST_HOSTS]:
            try:
                addresses = yield Query(kind, name)
            except (NoSuchName, NoAnswer):
                continue
            if any(is_same(text, evaluation.address) for text in addresses):
                evaluation.names.append(name.rstrip(".").lower())
    return evaluation.names


def _ask(evaluation: _Evaluation, kind: str, name: str) -> Check[list[str]]:
    """Ask, and count answers that are empty."""
    asked = _ascii(name)
    try:
        found = (yield Query(kind, asked)) if asked is not None else []
    except NoSuchName:
        found = []
    except NoAnswer:
        raise spf_record.Stop(Result.TEMPERROR, f"{name[:100]} cannot be asked for") from None
    if not found:
        evaluation.count_empty()
    return found


def _explain(evaluation: _Evaluation, text: str, domain: str) -> Check[str]:
    """Fetch a domain's own words for a fail, '' when there are none (RFC 7208 §6.2)."""
    try:
        target = _ascii((yield from _expand(evaluation, text, domain)))
        if target is None:
            return ""
        found = yield Query("TXT", target)
        if len(found) != 1 or not found[0].isascii():
            return ""
        spf_record.check_macros(found[0], "slodiphvcrt")
        return (yield from _expand(evaluation, found[0], domain, explaining=True))[:500]
    except (NoSuchName, NoAnswer, spf_record.Stop):
        return ""


# Macros (RFC 7208 §7)


def _expand(evaluation: _Evaluation, text: str, domain: str, *, explaining: bool = False) -> Check[str]:
    if "%" not in text:
        return text if explaining else _fitting(text)
    parts: list[str] = []
    at = 0
    for macro in spf_record.MACRO.finditer(text):
        parts.append(text[at : macro.start()])
        at = macro.end()
        if macro["literal"]:
            parts.append(_LITERALS[macro["literal"]])
        elif macro["letter"]:
            parts.append((yield from _value(evaluation, macro, domain, explaining=explaining)))
    parts.append(text[at:])
    whole = "".join(parts)
    return whole if explaining else _fitting(whole)


def _fitting(name: str) -> str:
    """Take labels off the front of a name that is too long for DNS (RFC 7208 §7.3)."""
    while len(name) > 253 and "." in name:
        name = name.partition(".")[2]
    return name


def _value(evaluation: _Evaluation, macro: "re.Match[str]", domain: str, *, explaining: bool) -> Check[str]:
    letter = macro["letter"]
    value = yield from _letter(evaluation, letter.lower(), domain, explaining=explaining)
    labels = re.split(f"[{re.escape(macro['delimiters'] or '.')}]", value)
    if macro["reverse"]:
        labels.reverse()
    if macro["digits"]:
        labels = labels[-int(macro["digits"][:4]) :]
    value = ".".join(labels)
    return urllib.parse.quote(value, safe="-._~") if letter.isupper() else value


def _letter(evaluation: _Evaluation, letter: str, domain: str, *, explaining: bool) -> Check[str]:
    local, _, behind = evaluation.sender.rpartition("@")
    address = evaluation.address
    match letter:
        case "s":
            return evaluation.sender
        case "l":
            return local
        case "o":
            return behind
        case "d":
            return domain
        case "i":
            return str(address) if address.version == 4 else ".".join(address.exploded.replace(":", "").upper())
        case "p":
            names = yield from _valid_names(evaluation)
            return _best(names, domain)
        case "v":
            return "in-addr" if address.version == 4 else "ip6"
        case "h":
            return evaluation.hello
        case "c" if explaining:
            return str(address)
        case "r" if explaining:
            return evaluation.receiver
        case "t" if explaining:
            return str(int(evaluation.now))
    spf_record.refuse(f"%{{{letter}}} is no macro here")


def _best(names: list[str], domain: str) -> str:
    """Choose a name for %{p}: the domain itself, one below it, any."""
    for name in names:
        if name == domain:
            return name
    return next(_below(names, domain), names[0] if names else "unknown")


def _below(names: list[str], domain: str) -> Iterator[str]:
    return (name for name in names if name.endswith("." + domain))


# Names


def _ascii(domain: str) -> str | None:
    """Give a name as DNS has it; None for what cannot be asked for (RFC 7208 §4.3)."""
    name = domain.removesuffix(".").lower()
    if not name.isascii():
        try:
            name = domain_key(name)
        except InvalidParameter:
            return None
    labels = name.split(".")
    if len(labels) < 2 or len(name) > 253 or not all(_LABEL.match(label) for label in labels):
        return None
    return name


def _shown(domain: str) -> str:
    return _ascii(domain) or domain[:253]


