"""`postroom trace`: what has become of a letter, told by the journal of mail events. Works beside a running server.

A letter is known by its Message-ID or by the id it has in the message flow. Not every event bears both, so the journal is read
twice: first for the ids of the letters, then for all that was told of them.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from postroom.server.cli import options
from postroom.server.journals import event_log, journal

MOST_TRACES = 1000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare its options."""
    options.add_configuration(parser)
    parser.add_argument("message", metavar="ID", help="the Message-ID of a letter, with or without <>, or its id in the message flow")
    parser.add_argument("--organization", metavar="ID", help="only what happened in this organization")
    parser.add_argument("--json", action="store_true", help="print whole events, one JSON object per line")


def run(arguments: argparse.Namespace) -> int:
    """Print the events of a letter, oldest first; exit status 1 when nothing is known of it."""
    folder = journal.folder(options.settings(arguments).data)
    found = False
    for event, line in story(folder, arguments.message):
        if arguments.organization in (None, event.get("organizationId")):
            found = True
            print(_CONTROL.sub(_escaped, line.decode()) if arguments.json else _row(event))
    if not found and not arguments.json:
        print("Nothing is known of it: it never came, or its events are older than the journal.")
    return int(not found)


def story(folder: Path, wanted: str) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Give all events of the letters that bear a Message-ID or are one in the message flow."""
    bare = wanted.strip().removeprefix("<").removesuffix(">")
    traces = {bare}
    for event, _ in _containing(folder, [bare]):
        if _bare(_told(event).get("messageId")) == bare and len(traces) < MOST_TRACES:
            traces.add(str(event.get("traceId")))
    for event, line in _containing(folder, sorted(traces)):
        if event.get("traceId") in traces:
            yield event, line


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
