"""`postroom senders`: whose mail for others is held back, and who may write to as many as they like. A running server obeys at once."""

import argparse
import datetime
from collections.abc import Callable, Iterator

from postroom.directory import entities
from postroom.mailflow import held
from postroom.model import errors
from postroom.policy import spikes
from postroom.policy.spikes import DAY, FOR_GOOD, Watch
from postroom.server.cli import options
from postroom.storage.engine import Store, Tx

PAGE = 500


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `senders`; without one they are listed."""
    options.add_configuration(parser)
    options.add_organization(parser)
    parser.set_defaults(action=_list)
    actions = parser.add_subparsers(metavar="ACTION")
    actions.add_parser("list", help="list senders whose mail is held back, and those who are trusted").set_defaults(action=_list)
    release = actions.add_parser("release", help="let the mail of a sender go, and trust the sender for a while")
    _add_sender(release, _release)
    _add_until(release, "how long the sender is trusted: a date (2027-01-31), or days; else as [spikes] trusted_hours says")
    drop = actions.add_parser("drop", help="throw away the mail of a sender that is held back, and begin anew")
    _add_sender(drop, _drop)
    trust = actions.add_parser("trust", help="let a sender write to any number of others in an hour, within the day's allowance")
    _add_sender(trust, _trust)
    _add_until(trust, "a date (2027-01-31), or days; else for good")
    watch = actions.add_parser("watch", help="treat a sender like all others again, who was trusted")
    _add_sender(watch, _watch)
    hold = actions.add_parser("hold", help="hold back what a sender sends to others from now on, and what waits of the last hours")
    _add_sender(hold, _hold)
    hold.add_argument("--reason", default="by hand", help="what is listed as the reason")


def _add_sender(parser: argparse.ArgumentParser, action: Callable[..., None]) -> None:
    parser.add_argument("sender", metavar="ADDRESS", help="the sender's address, name or id")
    parser.set_defaults(action=action)


def _add_until(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--until", metavar="WHEN", help=text)


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    return options.act(arguments)


def _list(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    print(f"{'SENDER':<36} {'STATE':<7} {'SINCE':<17} {'UNTIL':<17} {'HELD':>7} {'LETTERS':>7} {'MB':>7} REASON")
    for watch in _watched(store, scope):
        with store.transaction(scope, write=False) as tx:
            waiting = held.count(tx, watch.entity)
            print(_line(_address(tx, watch.entity), watch, waiting))


def _watched(store: Store, scope: int) -> Iterator[Watch]:
    after = ""
    while True:
        with store.transaction(scope, write=False) as tx:
            page = spikes.page(tx, after, PAGE)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].entity


def _line(address: str, watch: Watch, waiting: int) -> str:
    state, until = ("held", "") if watch.held else ("trusted", _time(watch.trusted_until))
    sizes = f"{waiting:>7} {watch.letters:>7} {watch.octets / 1_048_576:>7.1f}"
    return f"{address:<36} {state:<7} {_time(watch.since):<17} {until:<17} {sizes} {watch.reason}"


def _release(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    hours = options.settings(arguments).spikes.trusted_hours
    until = _until(store, arguments.until, store.now() + hours * 3600)
    with store.transaction(scope) as tx:
        user = _known(tx, arguments.sender)
        spikes.trust(tx, user, until, "released")
    released = 0
    while True:
        with store.transaction(scope) as tx:
            page = held.release(tx, user)
        released += page
        if not page:
            break
    print(f"{arguments.sender}: mail goes to {released} recipients; trusted until {_time(until)}")


def _drop(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    with store.transaction(scope, write=False) as tx:
        user = _known(tx, arguments.sender)
        watch = spikes.find(tx, user)
    if watch is None or not watch.held:
        raise errors.EntityState(f"Nothing of {arguments.sender} is held back.")
    dropped = 0
    while True:
        with store.transaction(scope) as tx:
            page = held.drop(tx, watch)
        dropped += page
        if not page:
            break
    print(f"{arguments.sender}: mail to {dropped} recipients thrown away")
    with store.transaction(scope, write=False) as tx:
        left = held.count(tx, user)
    if left:
        print(f"{left} copies are being sent just now and cannot be called back; what comes back is held, so drop again then.")


def _trust(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    until = _until(store, arguments.until, FOR_GOOD)
    with store.transaction(scope) as tx:
        user = _known(tx, arguments.sender)
        _refuse_held(tx, user, arguments.sender)
        spikes.trust(tx, user, until, "trusted")


def _watch(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    with store.transaction(scope) as tx:
        user = _known(tx, arguments.sender)
        _refuse_held(tx, user, arguments.sender)
        spikes.watch_again(tx, user)


def _hold(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    with store.transaction(scope) as tx:
        user = entities.get(tx, arguments.sender).id
        watch = spikes.find(tx, user)
        if watch is None or not watch.held:
            held.hold(tx, user, " ".join(arguments.reason.split())[:200])


def _refuse_held(tx: Tx, user: str, sender: str) -> None:
    watch = spikes.find(tx, user)
    if watch is not None and watch.held:
        raise errors.EntityState(f"Mail of {sender} is held back: release or drop it first.")


def _known(tx: Tx, sender: str) -> str:
    """Find a sender's id, also of one that is gone but had mail held back; raises `EntityNotFound`."""
    found = entities.find(tx, sender)
    if found is not None:
        return found.id
    if spikes.find(tx, sender) is None:
        raise errors.EntityNotFound(f"There is no {sender}.")
    return sender


def _address(tx: Tx, user: str) -> str:
    found = entities.find(tx, user)
    return (found.email or found.name) if found else user


def _until(store: Store, text: str | None, otherwise: float) -> float:
    """Read a date, UTC unless it says otherwise, or a number of days; raises `InvalidParameter`."""
    if text is None:
        return otherwise
    try:
        if text.isascii() and text.isdigit():
            until = store.now() + int(text) * DAY
        else:
            moment = datetime.datetime.fromisoformat(text)
            until = (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
    except (ValueError, OverflowError):
        raise errors.InvalidParameter(f"{text} is neither a date such as 2027-01-31 nor a number of days.") from None
    if until <= store.now():
        raise errors.InvalidParameter(f"{text} is over already.")
    return min(until, float(FOR_GOOD))


def _time(at: float) -> str:
    return "for good" if at >= FOR_GOOD else f"{datetime.datetime.fromtimestamp(at, datetime.UTC):%Y-%m-%d %H:%M}Z"
