"""What follows the address in MAIL and RCPT: the parameters of SMTP's extensions, read from text, pure (RFC 5321 §4.1.1.11)."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from postroom.formats import xtext
from postroom.mailflow.envelopes import Wish

ENVELOPE_ID_LIMIT: Final = 100
"""Characters of ENVID (RFC 3461 §4.4)."""
ORIGINAL_LIMIT: Final = 500
"""Characters of ORCPT (RFC 3461 §4.2)."""
_PARAMETER = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[^\x00-\x20=\x7f]+))?\Z")
_NUMBER = re.compile(r"[0-9]{1,20}\Z")
_KIND = re.compile(r"[A-Za-z0-9-]{1,40}\Z")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]{8,15}(?:[Zz]|[+-][0-9]{2}:[0-9]{2})\Z")


class BadParameter(Exception):
    """A parameter that is refused, in the words for the client; an `unknown` one could be of an extension that is not here."""

    def __init__(self, text: str, *, unknown: bool = False) -> None:
        super().__init__(text)
        self.unknown = unknown


def of_mail(text: str) -> dict[str, Any]:
    """Read what follows the reverse-path, as the fields of `Mail` that were said; raises `BadParameter`."""
    found: dict[str, Any] = {}
    for name, value in _split(text):
        read = _OF_MAIL.get(name)
        if read is None:
            raise BadParameter(f"Parameter {name[:40]} not known", unknown=True)
        said = read(value)
        if said is None:
            raise BadParameter(f"{name} has a bad value")
        found |= said
    if "hold_for" in found and "hold_until" in found:
        raise BadParameter("HOLDFOR or HOLDUNTIL, not both")
    return found


def of_rcpt(text: str) -> Wish:
    """Read what follows a recipient's address; raises `BadParameter`."""
    found = {"NOTIFY": "", "ORCPT": ""}
    for name, value in _split(text):
        if name not in found:
            raise BadParameter(f"Parameter {name[:40]} not known", unknown=True)
        if not value or not (_is_notify(value) if name == "NOTIFY" else _is_original(value)):
            raise BadParameter(f"{name} has a bad value")
        found[name] = value
    return Wish(found["NOTIFY"].upper(), found["ORCPT"])


def _split(text: str) -> list[tuple[str, str | None]]:
    """Split parameters; each may come once."""
    found: list[tuple[str, str | None]] = []
    for word in text.split():
        match = _PARAMETER.match(word)
        if not match or any(match["name"].upper() == name for name, _ in found):
            raise BadParameter("Bad parameter")
        found.append((match["name"].upper(), match["value"]))
    return found


def _is_notify(value: str) -> bool:
    """Say whether a value is NEVER, or a list of what is to be told (RFC 3461 §4.1)."""
    words = value.upper().split(",")
    return words == ["NEVER"] or (set(words) <= {"SUCCESS", "FAILURE", "DELAY"} and len(set(words)) == len(words))


def _is_original(value: str) -> bool:
    """Say whether a value is a type and an address in xtext, or in UTF-8 as it stands (RFC 3461 §4.2, RFC 6533 §3)."""
    kind, semicolon, address = value.partition(";")
    if not semicolon or not _KIND.match(kind) or not address or len(value) > ORIGINAL_LIMIT:
        return False
    return xtext.is_xtext(address) or kind.lower() == "utf-8"


def _size(value: str | None) -> dict[str, Any] | None:
    return {"size": int(value)} if value and _NUMBER.match(value) else None


def _body(value: str | None) -> dict[str, Any] | None:
    return {"eight_bit": value.upper() == "8BITMIME"} if value and value.upper() in {"7BIT", "8BITMIME"} else None


def _returns(value: str | None) -> dict[str, Any] | None:
    return {"returns": value.upper()} if value and value.upper() in {"FULL", "HDRS"} else None


def _envelope_id(value: str | None) -> dict[str, Any] | None:
    return {"envelope_id": value} if value and len(value) <= ENVELOPE_ID_LIMIT and xtext.is_xtext(value) else None


def _hold_for(value: str | None) -> dict[str, Any] | None:
    return {"hold_for": int(value)} if value and re.fullmatch(r"[0-9]{1,9}", value) else None


def _hold_until(value: str | None) -> dict[str, Any] | None:
    """Read a date and time of RFC 3339, the `date-time` of RFC 4865 §2."""
    if not value or not _MOMENT.match(value):
        return None
    try:
        return {"hold_until": datetime.fromisoformat(value.upper()).timestamp()}
    except (ValueError, OverflowError):
        return None


def _flag(name: str) -> "_Reader":
    """Make the reader of a parameter without a value."""
    return lambda value: {name: True} if value is None else None


_Reader = Callable[[str | None], "dict[str, Any] | None"]
_OF_MAIL: Final[dict[str, _Reader]] = {
    "SIZE": _size,
    "BODY": _body,
    "SMTPUTF8": _flag("international"),
    "AUTH": lambda value: {} if value else None,  # whom another server says it heard is of no use here (RFC 4954 §5)
    "RET": _returns,
    "ENVID": _envelope_id,
    "REQUIRETLS": _flag("require_tls"),
    "HOLDFOR": _hold_for,
    "HOLDUNTIL": _hold_until,
}
