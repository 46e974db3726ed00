"""The Date field, read leniently (RFC 5322 §3.3, §4.3)."""

import re
from datetime import date
from typing import NamedTuple

_LIMIT = 200
_MONTHS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}
_ZONES = {"edt": -4, "est": -5, "cdt": -5, "cst": -6, "mdt": -6, "mst": -7, "pdt": -7, "pst": -8}
_DAY_FIRST = re.compile(
    r"(?:[a-z]{2,12}[.,]?\s*,?\s*)?(\d{1,2})[\s.-]+([a-z]{3})[a-z]{0,6}[\s.,-]+(\d{2,4})[\s,]+"
    r"(\d{1,2})[:.](\d{1,2})(?:[:.](\d{1,2}))?(?:\.\d{1,9})?\s*([+-]\s?\d{2}:?\d{2}|[a-z]{1,5})?"
)
_MONTH_FIRST = re.compile(
    r"(?:[a-z]{3,12}[.,]?\s+)?([a-z]{3})[a-z]{0,6}\s+(\d{1,2})[\s,]+"
    r"(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?\s+(?:([+-]\d{4}|[a-z]{1,5})\s+)?(\d{4})"
)


class Moment(NamedTuple):
    """When a letter says it was written: seconds since 1970 UTC, and the same clock reading as if it were UTC."""

    utc: float
    wall: float


def parse(text: str) -> Moment | None:
    """Read a date field; None for nonsense. Years run from 1900 to 2999, an unknown zone counts as UTC."""
    text = " ".join(text[:_LIMIT].lower().split())
    if match := _DAY_FIRST.match(text):
        day, month, year, hour, minute, second, zone = match.groups()
    elif match := _MONTH_FIRST.match(text):
        month, day, hour, minute, second, zone, year = match.groups()
    else:
        return None
    wall = _wall(_year(year), _MONTHS.get(month, 0), int(day), (int(hour), int(minute), int(second or 0)))
    return None if wall is None else Moment(wall - _offset(zone or ""), wall)


def _year(text: str) -> int:
    """Widen years of two and three digits (RFC 5322 §4.3)."""
    year = int(text)
    if len(text) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(text) == 3 else year


def _wall(year: int, month: int, day: int, clock: tuple[int, int, int]) -> float | None:
    hour, minute, second = clock
    if not (1900 <= year < 3000 and hour < 24 and minute < 60 and second <= 60):
        return None
    try:
        days = date(year, month, day).toordinal() - 719_163
    except ValueError:
        return None
    return float(days * 86_400 + hour * 3_600 + minute * 60 + second)


def _offset(zone: str) -> int:
    """Give a zone's distance from UTC in seconds; military letters mean nothing (RFC 5322 §4.3)."""
    if zone[:1] in ("+", "-"):
        digits = zone[1:].replace(":", "").strip()
        seconds = int(digits[:2]) * 3_600 + int(digits[2:]) * 60
        return -seconds if zone[0] == "-" else seconds
    return _ZONES.get(zone, 0) * 3_600
