"""`postroom trace`: what has become of a letter, told by the journal of mail events and by the queue. Works beside a running server.

A letter is known by its Message-ID or by the id it has in the message flow. Not every event bears both, so the journal is read
twice: first for the ids of the letters, then for all that was told of them. What waits in the queue bears the latter alone.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from postroom.server import opening
from postroom.server.cli import options
from postroom.server.journals import event_log, journal
from postroom.server.settings import Settings
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import organizations, waiting

MOST_TRACES = 1000
MOST_WAITING = 1000
"""Copies of each organization's letters that are shown waiting."""
BATCH = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare its options."""
    options.add_configuration(parser)
    parser.add_argument("message", metavar="ID", help="the Message-ID of a letter, with or without <>, or its id in the message flow")
    parser.add_argument("--organization", metavar="ID", help="only what happened in this organization")
    parser.add_argument("--json", action="store_true", help="print whole events, one JSON object per line")


def run(arguments: argparse.Namespace) -> int:
    """Print the events of a letter, oldest first, then what waits of it; exit status 1 when nothing is known of it."""
    settings = options.settings(arguments)
    folder, found = journal.folder(settings.data), False
    traces = letters(folder, arguments.message)
    copies = list(queued(settings, traces, arguments.message))
    traces.update(event["traceId"] for event in copies if event["traceId"])
    for event, line in story(folder, traces):
        if arguments.organization in (None, event.get("organizationId")):
            found = True
            print(_CONTROL.sub(_escaped, line.decode()) if arguments.json else _row(event))
    for event in copies:
        if arguments.organization in (None, event["organizationId"]):
            found = True
            print(_CONTROL.sub(_escaped, msgspec.json.encode(event).decode()) if arguments.json else _row(event))
    if not found and not arguments.json:
        print("Nothing is known of it: it never came, or its events are older than the journal.")
    return int(not found)


def letters(folder: Path, wanted: str) -> set[str]:
    """Give the ids in the message flow of the letters that bear a Message-ID, and what was asked for, which may be such an id."""
    bare = _bare(wanted)
    traces = {bare}
    for event, _ in _containing(folder, [bare]):
        if _bare(_told(event).get("messageId")) == bare and len(traces) < MOST_TRACES:
            traces.add(str(event.get("traceId")))
    return traces


def story(folder: Path, traces: set[str]) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Give all events of letters."""
    for event, line in _containing(folder, sorted(traces)):
        if event.get("traceId") in traces:
            yield event, line


def queued(settings: Settings, traces: set[str], wanted: str) -> Iterator[dict[str, Any]]:
    """Give what waits in the queue of letters that are known by now, or bear the Message-ID that was asked for, each copy as an event."""
    if settings.storage.engine == "sqlite" and not (Path(settings.data) / "registry.db").exists():
        return  # there is no store yet, and looking makes none
    store = opening.open_store(settings)
    try:
        for scope in store.scopes():
            yield from queued_in(store, scope, sorted(traces), f"<{_bare(wanted)}>")
    finally:
        store.close()


def queued_in(store: Store, scope: int, traces: Sequence[str], message_id: str) -> Iterator[dict[str, Any]]:
    """Give what waits of letters in one organization."""
    with store.transaction(REGISTRY, write=False) as tx:
        organization = organizations.find_by_number(tx, scope)
    known: dict[tuple[Any, ...], waiting.Row] = {}
    with store.transaction(scope, write=False) as tx:
        for some in (traces[at : at + BATCH] for at in range(0, len(traces), BATCH)):
            known |= {(row[1], row[5]): row for row in waiting.of_letters(tx, some, message_id, limit=MOST_WAITING)}
        now = tx.now
    yield from (_waiting(row, organization.id if organization else "", now) for row in list(known.values())[:MOST_WAITING])


def _waiting(row: waiting.Row, organization: str, now: float) -> dict[str, Any]:
    """Tell of one copy as events are told; what has not been or is unknown is left out."""
    trace, message, sender, queued_at, lifetime, recipient, destination, attempts, due_at, holder, reply, held_by, held_for, *there = row
    blocked_until, since, tried_at, failures, status, host, said = there
    next_at = "" if held_by or holder else _moment(max(due_at, blocked_until, now))
    told = {
        "sender": sender,
        "recipient": recipient,
        "destination": destination,
        "attempts": attempts,
        "nextAttempt": next_at,
        "underWay": bool(holder),
        "lastReply": reply,
        "heldBy": held_by,
        "heldFor": held_for,
        "givenUp": _moment(queued_at + lifetime),
        "queueMessage": message,
    }
    if blocked_until:
        told["destinationUnreachableSince"], told["destinationTried"] = _moment(since), _moment(tried_at)
        told["destinationFailures"], told["destinationReply"] = failures, " ".join(filter(None, (host, status, said)))
    shown = {name: value for name, value in told.items() if value or name == "attempts"}
    return {
        "eventTimestamp": _moment(queued_at),
        "organizationId": organization,
        "traceId": trace,
        "event": {"eventName": "WAITS_IN_QUEUE", **shown},
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _containing(folder: Path, texts: Sequence[str]) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Read the events in whose lines one of the texts stands; only those lines are decoded."""
    there = re.compile(b"|".join(re.escape(msgspec.json.encode(text)[1:-1]) for text in texts))
    for line in journal.lines(folder, event_log.NAME):
        if there.search(line):
            try:
                event = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue  # a line that is being written, or was when the program was killed
            if isinstance(event, dict):
                yield event, line.rstrip(b"\n")


def _told(event: dict[str, Any]) -> dict[str, Any]:
    told = event.get("event")
    return told if isinstance(told, dict) else {}


def _bare(identifier: object) -> str:
    return str(identifier or "").strip().removeprefix("<").removesuffix(">")


def _row(event: dict[str, Any]) -> str:
    told = _told(event)
    rest = " ".join(f"{name}={_text(value)}" for name, value in told.items() if name != "eventName" and value)
    cells = f"{event.get('eventTimestamp', '-'):<24} {event.get('organizationId') or '-':<34} {told.get('eventName', '-'):<28} {rest}"
    return _CONTROL.sub("?", cells)


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _escaped(found: re.Match[str]) -> str:
    """Write a control character, which JSON may have in a string, so that a terminal does not obey it."""
    return f"\\u{ord(found[0]):04x}"
