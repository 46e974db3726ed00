"""`postroom queue`: what waits to be sent, why, and what is to become of it. A running server obeys at once."""

import argparse
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from postroom.formats.headers import header_block
from postroom.mailflow import interventions
from postroom.mailflow.interventions import Waiting
from postroom.model import errors
from postroom.server.cli import options
from postroom.storage.engine import Store, Tx
from postroom.storage.queries.queue import NEVER

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
Change = Callable[[Tx, list[Waiting]], int]


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `queue`; without one what waits is listed."""
    options.add_configuration(parser)
    options.add_organization(parser)
    parser.set_defaults(action=_list, **_NOTHING, json=False)
    actions = parser.add_subparsers(metavar="ACTION")
    listing = _add(actions, "list", _list, "list what waits, oldest first")
    listing.add_argument("--json", action="store_true", help="print one JSON object per line")
    places = actions.add_parser("destinations", help="list where mail waits to go, and what is the matter there")
    places.set_defaults(action=_destinations)
    show = actions.add_parser("show", help="show all that is known of a copy, and the header of its letter")
    show.add_argument("number", type=int, metavar="ID", help="its number in the list")
    show.set_defaults(action=_show)
    _add(actions, "retry", _retry, "try again at once")
    hold = _add(actions, "hold", _hold, "hold back until it is released")
    hold.add_argument("--reason", default="by hand", help="what is listed as the reason")
    _add(actions, "release", _release, "let go what is held back")
    drop = _add(actions, "drop", _drop, "throw away")
    drop.add_argument("--tell", metavar="REASON", default="", help="send the user who wrote it a report that says why")


_NOTHING: dict[str, Any] = {"numbers": [], "destination": None, "sender": None, "recipient": None, "held": False, "all": False}


def _add(actions: Any, name: str, action: Callable[..., None], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text)
    parser.add_argument("numbers", type=int, nargs="*", metavar="ID", help="numbers as listed; else what the options say")
    parser.add_argument("--destination", metavar="DOMAIN", help="what goes there")
    parser.add_argument("--sender", metavar="ADDRESS", help="what has this return path")
    parser.add_argument("--recipient", metavar="ADDRESS", help="what is for this address")
    parser.add_argument("--held", action="store_true", help="what is held back")
    if name != "list":
        parser.add_argument("--all", action="store_true", help="everything")
    parser.set_defaults(action=action)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    return options.act(arguments)


def _list(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    if not arguments.json:
        print(f"{'ID':>8} {'STATE':<8} {'SINCE':<17} {'NEXT':<17} {'TRIED':>5} {'OCTETS':>9} SENDER -> RECIPIENT: REASON")
    for copies in _pages(store, scope, arguments):
        for copy in copies:
            print(_record(copy) if arguments.json else _line(copy))


def _line(copy: Waiting) -> str:
    times = f"{_time(copy.queued_at):<17} {_next(copy):<17} {copy.attempts:>5} {copy.size:>9}"
    reason = f": {copy.reason}" if copy.reason else ""
    return _plain(f"{copy.number:>8} {copy.state:<8} {times} {copy.sender or '<>'} -> {copy.recipient}{reason}")


def _record(copy: Waiting) -> str:
    return _CONTROL.sub(
        lambda found: f"\\u{ord(found[0]):04x}",
        msgspec.json.encode(
            {
                "id": copy.number,
                "message": copy.message,
                "state": copy.state,
                "sender": copy.sender,
                "recipient": copy.recipient,
                "destination": copy.destination,
                "queuedAt": copy.queued_at,
                "nextAttemptAt": None if copy.next_at >= NEVER else copy.next_at,
                "givesUpAt": copy.queued_at + copy.lifetime,
                "attempts": copy.attempts,
                "size": copy.size,
                "traceId": copy.trace,
                "reason": copy.reason,
            }
        ).decode(),
    )


def _destinations(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    print(f"{'DESTINATION':<40} {'COPIES':>7} {'HELD':>6} {'NEXT':<17} {'OUT OF REACH':<17} REASON")
    with store.transaction(scope, write=False) as tx:
        found = interventions.overview(tx)
    for place, copies, held in sorted(found, key=lambda entry: (-entry[1], entry[0].name)):
        when = "" if place.due_at >= NEVER else _time(max(place.due_at, place.blocked_until))
        since = _time(place.since) if place.blocked else ""
        said = f"{place.host}: {place.reply}" if place.host and place.host not in place.reply else place.reply
        print(_plain(f"{place.name:<40} {copies:>7} {held:>6} {when:<17} {since:<17} {said}".rstrip()))


def _show(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    with store.transaction(scope, write=False) as tx:
        found = interventions.page(tx, {"number": arguments.number})
        if not found:
            raise errors.EntityNotFound(f"Nothing with the number {arguments.number} is queued.")
        (copy,) = found
        try:
            header = header_block(interventions.read(tx, copy)).decode("utf-8", "replace")
        except errors.PostroomError as error:
            header = f"({error.text})"
    for name, value in (
        ("ID", copy.number),
        ("Message", copy.message),
        ("In the message flow", copy.trace or "no"),
        ("State", f"{copy.state}{f' by {copy.held_by}' if copy.held_by else ''}"),
        ("Reason", copy.reason or "none yet"),
        ("Sender", copy.sender or "<>"),
        ("Recipient", copy.recipient),
        ("Destination", copy.destination),
        ("Octets", copy.size),
        ("Queued", _time(copy.queued_at)),
        ("Next attempt", _next(copy) or "none"),
        ("Attempts", copy.attempts),
        ("Last reply", copy.last_reply or "none"),
        ("Destination out of reach until", _time(copy.blocked_until) if copy.blocked_until else "it is not"),
        ("Gives up", _time(copy.queued_at + copy.lifetime)),
        ("Notify", copy.notify or "as usual"),
        ("REQUIRETLS", "yes" if copy.require_tls else "no"),
    ):
        print(_plain(f"{name + ':':<31} {value}"))
    print()
    for line in header.splitlines():
        print(_plain(line))


def _retry(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    print(f"{_each(store, scope, arguments, interventions.retry)} copies are tried now")


def _hold(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    reason = " ".join(arguments.reason.split())[:200] or "by hand"
    print(f"{_each(store, scope, arguments, lambda tx, copies: interventions.hold(tx, copies, reason))} copies are held back")


def _release(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    print(f"{_each(store, scope, arguments, interventions.release)} copies go")


def _drop(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    told = " ".join(arguments.tell.split())[:400]
    print(f"{_each(store, scope, arguments, lambda tx, copies: interventions.drop(tx, copies, told))} copies are thrown away")


def _each(store: Store, scope: int, arguments: argparse.Namespace, change: Change) -> int:
    """Do something to all that is chosen, a page to a transaction; counts copies."""
    done = 0
    for wanted in _wanted(arguments):
        after = 0
        while True:
            with store.transaction(scope) as tx:
                copies = interventions.page(tx, wanted, after=after)
                done += change(tx, copies)
            if len(copies) < interventions.PAGE:
                break
            after = copies[-1].number
    return done


def _pages(store: Store, scope: int, arguments: argparse.Namespace) -> Iterator[list[Waiting]]:
    for wanted in _wanted(arguments, everything=True):
        after = 0
        while True:
            with store.transaction(scope, write=False) as tx:
                copies = interventions.page(tx, wanted, after=after)
            yield copies
            if len(copies) < interventions.PAGE:
                break
            after = copies[-1].number


def _wanted(arguments: argparse.Namespace, *, everything: bool = False) -> list[dict[str, Any]]:
    """Give what is chosen; raises `InvalidParameter` when that is nothing."""
    said = {name: getattr(arguments, name) for name in ("destination", "sender", "recipient") if getattr(arguments, name) is not None}
    chosen = said | ({"held": True} if arguments.held else {})
    if arguments.numbers:
        return [{"number": number, **chosen} for number in dict.fromkeys(arguments.numbers)]
    if not (chosen or everything or arguments.all):
        raise errors.InvalidParameter("Say which: by ID, --destination, --sender, --recipient, --held, or --all.")
    return [chosen]


def _next(copy: Waiting) -> str:
    if copy.holder:
        return "now"
    return "" if copy.next_at >= NEVER else _time(copy.next_at)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%MZ")


def _plain(text: str) -> str:
    """Make what others have written fit for a terminal."""
    return _CONTROL.sub("?", text)
