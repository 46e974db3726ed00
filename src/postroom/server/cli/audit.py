"""`postroom audit`: who has called the API, when, from where, for what, and what came of it. Works beside a running server."""

import argparse
import datetime
import heapq
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from postroom.api.model import WORKMAIL
from postroom.server.cli import options
from postroom.server.configuration import ConfigurationError
from postroom.server.journals import audit_log, journal

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGO = re.compile(r"(\d{1,9})([smhd])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare its options."""
    options.add_configuration(parser)
    parser.add_argument("--operation", metavar="NAME", help="only calls of this operation; * stands for anything, as in Delete* or iam:*")
    parser.add_argument("--user", metavar="NAME", help="only calls of this user or role, by name, ARN or access key id")
    parser.add_argument("--organization", metavar="ID", help="only calls about this organization")
    parser.add_argument("--since", metavar="WHEN", help="only calls since then: 2026-07-01, 2026-07-01T12:00Z, or 30m, 12h, 7d ago")
    parser.add_argument("--errors", action="store_true", help="only calls that were refused or failed")
    parser.add_argument("--json", action="store_true", help="print whole records, one JSON object per line, instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Print the records that are asked for, oldest first."""
    folder = journal.folder(options.settings(arguments).data)
    since = _since(arguments.since)
    if not arguments.json:
        print(f"{'TIME':<20} {'USER':<16} {'ADDRESS':<15} {'OPERATION':<32} {'ORGANIZATION':<34} OUTCOME")
    for record, line in _records(folder, since):
        if _asked(record, arguments, since):
            print(_CONTROL.sub(_escaped, line.decode()) if arguments.json else _row(record))
    return 0


def _records(folder: Path, since: float) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Read both journals, in the order of time."""
    found = (_read(folder, name, since) for name in (audit_log.NAME, audit_log.REFUSALS))
    return heapq.merge(*found, key=lambda pair: str(pair[0].get("eventTime", "")))


def _read(folder: Path, name: str, since: float) -> Iterator[tuple[dict[str, Any], bytes]]:
    for line in journal.lines(folder, name, since=since):
        try:
            record = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue  # a line that is being written, or was when the program was killed
        if isinstance(record, dict):
            yield record, line.rstrip(b"\n")


def _asked(record: dict[str, Any], arguments: argparse.Namespace, since: float) -> bool:
    return (
        (not arguments.operation or any(fnmatchcase(name.lower(), arguments.operation.lower()) for name in _operations(record)))
        and (not arguments.user or arguments.user in _names(record))
        and (not arguments.organization or arguments.organization == _organization(record))
        and (not arguments.errors or "errorCode" in record)
        and (not since or _moment(record["eventTime"]) >= since)
    )


def _organization(record: dict[str, Any]) -> str:
    """Name the organization that a call was about, '' for none."""
    arns = (resource.get("ARN", "") for resource in record.get("resources", ()))
    return next((arn.partition(":organization/")[2] for arn in arns), "")


def _names(record: dict[str, Any]) -> tuple[str, ...]:
    """Name the caller in every way, '' for those that there are not: the user, or ROLE/SESSION; ARN; access key; the session's role."""
    identity = record.get("userIdentity") or {}
    arn, issuer = identity.get("arn", ""), (identity.get("sessionContext") or {}).get("sessionIssuer") or {}
    name = identity.get("userName") or arn.partition(":assumed-role/")[2]
    return name, arn, identity.get("accessKeyId", ""), issuer.get("userName", "")


def _operations(record: dict[str, Any]) -> tuple[str, ...]:
    """Name the operation; of a service beside WorkMail also with the service, as in iam:CreateUser."""
    name, service = record.get("eventName", "-"), record.get("eventSource", "").partition(".")[0].lower()
    return (name,) if service == WORKMAIL else (name, f"{service}:{name}")


def _escaped(found: re.Match[str]) -> str:
    """Write a control character, which JSON may have in a string, so that a terminal does not obey it."""
    return f"\\u{ord(found[0]):04x}"


def _row(record: dict[str, Any]) -> str:
    cells = (
        f"{record.get('eventTime', '-'):<20}",
        f"{next(filter(None, _names(record)), '-'):<16}",
        f"{record.get('sourceIPAddress') or '-':<15}",
        f"{_operations(record)[-1]:<32}",
        f"{_organization(record) or '-':<34}",
        record.get("errorCode", "done"),
    )
    return _CONTROL.sub("?", " ".join(cells))


def _since(text: str | None) -> float:
    """Read a moment; raises ConfigurationError."""
    if text is None:
        return 0.0
    ago = _AGO.fullmatch(text)
    now = datetime.datetime.now(datetime.UTC).timestamp()
    try:
        return now - int(ago[1]) * UNITS[ago[2]] if ago else _moment(text)
    except ValueError:
        raise ConfigurationError(f"--since {text}: neither a time such as 2026-07-01T12:00Z nor an age such as 12h") from None


def _moment(text: str) -> float:
    """Read a time, UTC unless it says otherwise; raises ValueError."""
    read = datetime.datetime.fromisoformat(text)
    return (read if read.tzinfo else read.replace(tzinfo=datetime.UTC)).timestamp()
