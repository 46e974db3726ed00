"""Dates as scripts ask for them: a moment, seen in a zone, and its parts (RFC 5260 §4)."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import NamedTuple

from postroom.formats import dates
from postroom.mailflow.sieve.machine import Trouble

_ZONE = re.compile(r"([+-])(\d{2})(\d{2})\Z", re.ASCII)
_MODIFIED_JULIAN = date(1858, 11, 17).toordinal()


class Moment(NamedTuple):
    """When something was, in epoch seconds, and the zone in which that was written, in seconds east of UTC."""

    utc: float
    zone: int


def read(text: str) -> Moment | None:
    """Find the date in a field; in one such as Received it stands behind the last semicolon."""
    found = dates.parse(text.rpartition(";")[2].strip())
    return None if found is None else Moment(found.utc, int(found.wall - found.utc))


def offset(zone: str) -> int:
    """Read a zone such as +0100, in seconds; raises `Trouble`."""
    match = _ZONE.match(zone)
    if match is None or int(match[2]) > 14 or int(match[3]) > 59:
        raise Trouble(f"{zone[:20]!r} is no time zone.")
    seconds = int(match[2]) * 3600 + int(match[3]) * 60
    return -seconds if match[1] == "-" else seconds


def part(name: str, utc: float, zone: int) -> str:
    """Give a part of a moment as it is in a zone; raises `Trouble` for one that there is not."""
    try:
        moment = datetime.fromtimestamp(utc, UTC).astimezone(timezone(timedelta(seconds=zone)))
    except (ValueError, OverflowError):
        raise Trouble("This date cannot be told in this zone.") from None
    wanted = name.lower()
    if wanted in _FORMATS:
        return moment.strftime(_FORMATS[wanted])
    if wanted == "year":
        return f"{moment.year:04}"
    if wanted == "julian":
        return str(moment.date().toordinal() - _MODIFIED_JULIAN)
    if wanted == "iso8601":
        return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
    if wanted == "std11":
        return format_datetime(moment)
    if wanted == "zone":
        return f"{'-' if zone < 0 else '+'}{abs(zone) // 3600:02}{abs(zone) // 60 % 60:02}"
    raise Trouble(f"A date has no part {name[:20]!r}.")


_FORMATS = {
    "month": "%m", "day": "%d", "date": "%Y-%m-%d", "hour": "%H", "minute": "%M", "second": "%S", "time": "%H:%M:%S", "weekday": "%w",
}  # fmt: skip
