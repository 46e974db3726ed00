"""Dates as IMAP writes them: `17-Jul-1996 02:44:25 -0700` (RFC 3501 §9, date and date-time). Epoch seconds inside."""

import calendar
import re
import time

from postroom.protocols.imap.grammar.scanner import Malformed, Scanner

MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
DAY = 86400

_NUMBERS = {name.upper(): number for number, name in enumerate(MONTHS, 1)}
_DATE = re.compile(rb'"?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})"?')
_DATE_TIME = re.compile(rb'"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"')


def parse_day(scanner: Scanner) -> int:
    """Consume a date; gives the start of that day in UTC."""
    found = _DATE.match(scanner.text, scanner.at)
    if found is None:
        raise Malformed("date expected")
    scanner.at = found.end()
    return _day(found[1], found[2], found[3])


def parse_time(scanner: Scanner) -> int:
    """Consume a quoted date and time."""
    found = _DATE_TIME.match(scanner.text, scanner.at)
    if found is None:
        raise Malformed("date and time expected")
    scanner.at = found.end()
    hour, minute, second = int(found[4]), int(found[5]), int(found[6])
    zone_hours, zone_minutes = int(found[8]), int(found[9])
    if hour > 23 or minute > 59 or second > 60 or zone_hours > 23 or zone_minutes > 59:
        raise Malformed("no such time")
    zone = (zone_hours * 3600 + zone_minutes * 60) * (-1 if found[7] == b"-" else 1)
    return _day(found[1], found[2], found[3]) + hour * 3600 + minute * 60 + second - zone


def _day(day: bytes, month: bytes, year: bytes) -> int:
    number = _NUMBERS.get(month.upper())
    if number is None or not 1 <= int(year) <= 9999 or not 1 <= int(day) <= calendar.monthrange(int(year), number)[1]:
        raise Malformed("no such date")
    return calendar.timegm((int(year), number, int(day), 0, 0, 0))


def render(seconds: float) -> bytes:
    """Write a time as INTERNALDATE does, quoted, in UTC."""
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return b'"%2d-%b-%04d %02d:%02d:%02d +0000"' % (day, MONTHS[month - 1], year, hour, minute, second)
