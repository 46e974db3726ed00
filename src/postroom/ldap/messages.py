"""The few messages of LDAP that are needed to sign in and to read (RFC 4511 §4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postroom.ldap import ber
from postroom.ldap.ber import Malformed

BIND_ANSWER, ENTRY, SEARCH_DONE, REFERENCE, EXTENDED_ANSWER = 0x61, 0x64, 0x65, 0x73, 0x78
SUCCESS, INVALID_CREDENTIALS = 0, 49
STARTTLS = "1.3.6.1.4.1.1466.20037"
PAGED = "1.2.840.113556.1.4.319"
_CONTROLS = 0xA0


@dataclass(frozen=True, slots=True)
class Message:
    """What a server says: `kind` is the tag, `content` its contents, `cookie` where the next page begins."""

    id: int
    kind: int
    content: bytes
    cookie: bytes = b""


@dataclass(frozen=True, slots=True)
class Result:
    """How an operation ended (RFC 4511 §4.1.9)."""

    code: int
    text: str


def bind(number: int, dn: str, password: str) -> bytes:
    """Ask to be somebody, by a password (RFC 4511 §4.2)."""
    return _message(number, ber.wrap(0x60, ber.integer(3), ber.octets(dn), ber.octets(password, 0x80)))


def unbind(number: int) -> bytes:
    """Say that this is the end (RFC 4511 §4.3)."""
    return _message(number, ber.wrap(0x42))


def starttls(number: int) -> bytes:
    """Ask to go on under TLS (RFC 4511 §4.14)."""
    return _message(number, ber.wrap(0x77, ber.octets(STARTTLS, 0x80)))


def search(
    number: int,
    base: str,
    filter: bytes,
    attributes: Sequence[str],
    *,
    whole: bool = True,
    page: int = 0,
    cookie: bytes = b"",
    seconds: int = 0,
) -> bytes:
    """Ask for entries at a base, and below it if `whole`; aliases are not followed. `page` of them at a time (RFC 2696)."""
    request = ber.wrap(
        0x63,
        ber.octets(base),
        ber.integer(2 if whole else 0, ber.ENUMERATED),
        ber.integer(0, ber.ENUMERATED),
        ber.integer(0),
        ber.integer(seconds),
        ber.boolean(False),
        filter,
        ber.wrap(ber.SEQUENCE, *(ber.octets(name) for name in attributes)),
    )
    if not page:
        return _message(number, request)
    value = ber.wrap(ber.SEQUENCE, ber.integer(page), ber.octets(cookie))
    control = ber.wrap(ber.SEQUENCE, ber.octets(PAGED), ber.boolean(True), ber.octets(value))
    return _message(number, request, ber.wrap(_CONTROLS, control))


def read(data: bytes) -> Message:
    """Read one whole message, without its outermost tag; raises `Malformed`."""
    found = ber.few(data)
    if len(found) < 2 or found[0][0] != ber.INTEGER:
        raise Malformed("no message")
    cookie = next((_cookie(content) for tag, content in found[2:] if tag == _CONTROLS), b"")
    return Message(ber.number(found[0][1]), found[1][0], found[1][1], cookie)


def result(message: Message) -> Result:
    """Read how an operation ended; raises `Malformed`."""
    found = ber.few(message.content)
    if len(found) < 3 or found[0][0] != ber.ENUMERATED:
        raise Malformed("no result")
    return Result(ber.number(found[0][1]), found[2][1].decode(errors="replace"))


def entry(message: Message) -> tuple[str, Mapping[str, Sequence[bytes]]]:
    """Read an entry: its DN, and its attributes under their names in lower case; raises `Malformed` (RFC 4511 §4.5.2)."""
    try:
        (_, dn), (_, listed) = ber.parts(message.content)
        attributes = {}
        for _, attribute in ber.parts(listed):
            (_, name), (_, values) = ber.parts(attribute)
            attributes[name.decode().lower()] = [value for _, value in ber.parts(values)]
        return dn.decode(), attributes
    except ValueError as error:
        raise Malformed("no entry") from error


def _message(number: int, *parts: bytes) -> bytes:
    return ber.wrap(ber.SEQUENCE, ber.integer(number), *parts)


def _cookie(controls: bytes) -> bytes:
    for _, control in ber.few(controls):
        fields = ber.few(control)
        if fields and fields[0][1] == PAGED.encode() and fields[-1][0] == ber.OCTETS:
            inner = [part for _, value in ber.few(fields[-1][1]) for part in ber.few(value)]
            return inner[1][1] if len(inner) == 2 else b""
    return b""
