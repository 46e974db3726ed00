"""SMTP's command lines and replies: bytes to typed commands and back, pure.

A command line is taken apart here and nowhere else. What the grammar does not know is a `BadCommand` that
carries the reply to give. Two kindnesses to sloppy senders are deliberate: spaces after `FROM:` and `TO:`, and
dots anywhere in a local part; neither lets two readers see two different addresses.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NoReturn, TypeVar

from postroom.mailflow.envelopes import NOTHING_SAID, Wish
from postroom.model.addresses import domain_key
from postroom.model.errors import InvalidParameter
from postroom.protocols.smtp import parameters

LINE_LIMIT: Final = 4096
"""Octets of a command line, its CRLF included; 512 by RFC 5321 §4.5.3.1.4, more for its extensions."""
PATH_LIMIT: Final = 254
"""Octets of an address (RFC 5321 §4.5.3.1.3). There are senders with local parts beyond the 64 of §4.5.3.1.1: those of
mailing lists, which carry the recipient's address."""
T = TypeVar("T")
# what is not ASCII is left in by leaving out the rest of ASCII: ranges up to U+10FFFF take long to compile
_ATEXT = r"[^\x00-\x20\"(),:;<>@\[\\\]\x7f]"
_LETTER = r"[^\x00-/:-@\[-^`{-\x7f]"
_LABEL = rf"{_LETTER}(?:[^\x00-,./:-@\[-^`{{-\x7f]*{_LETTER})?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[A-Za-z0-9:.\-]+\])"
_LOCAL = rf'(?:{_ATEXT}+|"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*")'
_ROUTE = rf"@{_DOMAIN}(?:,@{_DOMAIN})*:"
_PATH = re.compile(rf" *<(?:{_ROUTE})?(?P<local>{_LOCAL})@(?P<domain>{_DOMAIN})>(?P<rest>| .*)\Z", re.S)
_POSTMASTER = re.compile(r" *<(?P<local>postmaster)>(?P<rest>| .*)\Z", re.I | re.S)
_NULL = re.compile(r" *<>(?P<rest>| .*)\Z", re.S)
_PLAIN_QUOTED = re.compile(rf'"({_ATEXT}+)"\Z')
_NAME = re.compile(r"[^\x00-\x20\x7f]{1,255}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MECHANISM = re.compile(r"[A-Za-z0-9_-]{1,20}\Z")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server says: code, enhanced status ('' for none) and one or more lines (RFC 5321 §4.2, RFC 2034 §4)."""

    code: int
    status: str
    text: str
    more: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Say whether the reply is a success or asks to go on."""
        return self.code < 400

    @property
    def closing(self) -> bool:
        """Say whether the connection ends with it (RFC 5321 §3.8, RFC 7504)."""
        return self.code in {221, 421, 521}

    def render(self) -> bytes:
        """Write it as it goes over the wire."""
        return _render(self.code, self.status, (self.text, *self.more))


@lru_cache(maxsize=256)
def _render(code: int, status: str, lines: tuple[str, ...]) -> bytes:
    prefix = f"{status} " if status else ""
    last = len(lines) - 1
    return "".join([f"{code}{' ' if at == last else '-'}{prefix}{line}\r\n" for at, line in enumerate(lines)]).encode()


class BadCommand(Exception):
    """A line the grammar refuses, with the reply it gets."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Helo:
    """HELO or, when `extended`, EHLO (RFC 5321 §4.1.1.1)."""

    name: str
    extended: bool


@dataclass(frozen=True, slots=True)
class Mail:
    """MAIL; `sender` is '' for the null reverse-path, `size` None when not declared (RFC 5321 §4.1.1.2).

    `returns` is FULL or HDRS and `envelope_id` xtext, '' when nothing was said (RFC 3461 §4.3, §4.4). The letter is to wait `hold_for`
    seconds, or until the time `hold_until`, epoch seconds (RFC 4865 §4).
    """

    sender: str
    size: int | None = None
    eight_bit: bool = False
    international: bool = False
    returns: str = ""
    envelope_id: str = ""
    require_tls: bool = False
    hold_for: int | None = None
    hold_until: float | None = None


@dataclass(frozen=True, slots=True)
class Rcpt:
    """RCPT; `domain` is '' in the bare `<postmaster>` (RFC 5321 §4.1.1.3), `wish` what its sender wants to hear (RFC 3461 §4.1, §4.2)."""

    local: str
    domain: str
    wish: Wish = NOTHING_SAID

    @property
    def address(self) -> str:
        """The whole address."""
        return f"{self.local}@{self.domain}" if self.domain else self.local


@dataclass(frozen=True, slots=True)
class Data:
    """DATA (RFC 5321 §4.1.1.4)."""


@dataclass(frozen=True, slots=True)
class Bdat:
    """BDAT: `size` octets follow at once (RFC 3030 §2)."""

    size: int
    last: bool


@dataclass(frozen=True, slots=True)
class Rset:
    """RSET (RFC 5321 §4.1.1.5)."""


@dataclass(frozen=True, slots=True)
class Noop:
    """NOOP (RFC 5321 §4.1.1.9)."""


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT (RFC 5321 §4.1.1.10)."""


@dataclass(frozen=True, slots=True)
class Vrfy:
    """VRFY (RFC 5321 §4.1.1.6)."""


@dataclass(frozen=True, slots=True)
class Help:
    """HELP (RFC 5321 §4.1.1.8)."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """STARTTLS (RFC 3207 §4)."""


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH; `initial` is None when no initial response came, '' for an empty one (RFC 4954 §4)."""

    mechanism: str
    initial: str | None


Command = Helo | Mail | Rcpt | Data | Bdat | Rset | Noop | Quit | Vrfy | Help | StartTls | Auth


def parse(line: bytes) -> Command:
    """Read one command line without its CRLF; raises `BadCommand`."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        _refuse(500, "5.5.2", "Not UTF-8")
    if _CONTROL.search(text):
        _refuse(500, "5.5.2", "Control character in a command")
    verb, _, rest = text.partition(" ")
    reader = _READERS.get(verb.upper())
    if reader is None:
        _refuse(500, "5.5.1", "Command not recognized")
    return reader(rest)


def _refuse(code: int, status: str, text: str) -> NoReturn:
    raise BadCommand(Reply(code, status, text))


def _helo(rest: str) -> Helo:
    return Helo(_name(rest), extended=False)


def _ehlo(rest: str) -> Helo:
    return Helo(_name(rest), extended=True)


def _name(rest: str) -> str:
    name = rest.strip(" ")
    if not _NAME.match(name):
        _refuse(501, "5.5.4", "Say your name: one word")
    return name


def _mail(rest: str) -> Mail:
    if rest[:5].upper() != "FROM:":
        _refuse(501, "5.5.4", "MAIL FROM:<address>")
    null = _NULL.match(rest, 5)
    if null:
        return _mail_parameters("", null["rest"])
    local, domain, said = _path(rest, 5, "5.1.7")
    return _mail_parameters(f"{local}@{domain}", said)


def _mail_parameters(sender: str, text: str) -> Mail:
    found = _read(parameters.of_mail, text)
    if not found.get("international") and not sender.isascii():
        _refuse(553, "5.6.7", "This address needs SMTPUTF8")
    return Mail(sender, **found)


def _read(reader: Callable[[str], T], text: str) -> T:
    try:
        return reader(text)
    except parameters.BadParameter as bad:
        _refuse(555 if bad.unknown else 501, "5.5.4", str(bad))


def _rcpt(rest: str) -> Rcpt:
    if rest[:3].upper() != "TO:":
        _refuse(501, "5.5.4", "RCPT TO:<address>")
    postmaster = _POSTMASTER.match(rest, 3)
    if postmaster:
        local, domain, said = postmaster["local"], "", postmaster["rest"]
    else:
        local, domain, said = _path(rest, 3, "5.1.3")
    return Rcpt(local, domain, _read(parameters.of_rcpt, said))


def _path(rest: str, start: int, status: str) -> tuple[str, str, str]:
    """Read `<local@domain>`, dropping a source route (RFC 5321 §4.1.2, §3.3)."""
    found = _PATH.match(rest, start)
    if not found:
        _refuse(501, status, "Not an address in angle brackets")
    local, domain = found["local"], found["domain"]
    if len(f"{local}@{domain}".encode()) > PATH_LIMIT:
        _refuse(501, status, "Address too long")
    if not domain.startswith("["):
        try:
            domain_key(domain)
        except InvalidParameter:
            _refuse(501, status, "Not a domain name")
    plain = _PLAIN_QUOTED.match(local)
    return (plain[1] if plain else local), domain, found["rest"]


def _bdat(rest: str) -> Bdat:
    match = re.fullmatch(r"([0-9]{1,20})( +LAST)?", rest.strip(" "), re.I)
    if not match:
        # how many octets follow is unknown, so nothing after this line can be trusted
        _refuse(521, "5.5.4", "BDAT size [LAST]")
    return Bdat(int(match[1]), match[2] is not None)


def _auth(rest: str) -> Auth:
    words = rest.split()
    if not 1 <= len(words) <= 2 or not _MECHANISM.match(words[0]):
        _refuse(501, "5.5.4", "AUTH mechanism [initial-response]")
    initial = words[1] if len(words) == 2 else None
    return Auth(words[0].upper(), "" if initial == "=" else initial)


def _vrfy(rest: str) -> Vrfy:
    if not rest.strip(" "):
        _refuse(501, "5.5.4", "VRFY whom")
    return Vrfy()


def _expn(rest: str) -> NoReturn:
    _refuse(502, "5.5.1", "EXPN not offered")


def _bare(command: Command) -> Callable[[str], Command]:
    """Make the reader of a command that takes no argument."""

    def read(rest: str) -> Command:
        if rest.strip(" "):
            _refuse(501, "5.5.4", "No argument expected")
        return command

    return read


_READERS: Final[dict[str, Callable[[str], Command]]] = {
    "HELO": _helo,
    "EHLO": _ehlo,
    "MAIL": _mail,
    "RCPT": _rcpt,
    "DATA": _bare(Data()),
    "BDAT": _bdat,
    "RSET": _bare(Rset()),
    "NOOP": lambda rest: Noop(),
    "QUIT": _bare(Quit()),
    "VRFY": _vrfy,
    "EXPN": _expn,
    "HELP": lambda rest: Help(),
    "STARTTLS": _bare(StartTls()),
    "AUTH": _auth,
}
