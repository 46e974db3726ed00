"""`postroom journal`: whether all letters of an organization are recorded, and where. A running server obeys at once."""

import argparse

from postroom.policy import journaling
from postroom.server.cli import options
from postroom.storage.engine import Store


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `journal`."""
    options.add_configuration(parser)
    options.add_organization(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("show", help="say where records go").set_defaults(action=_show)
    start = actions.add_parser("set", help="record every letter that comes in or goes out")
    start.add_argument("journal", help="the address that gets the records")
    start.add_argument("report", help="the address that hears of records that cannot be delivered")
    start.set_defaults(action=_set)
    actions.add_parser("off", help="record letters no more").set_defaults(action=_off)


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    return options.act(arguments)


def _show(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    with store.transaction(scope, write=False) as tx:
        found = journaling.find(tx)
    origin = ", from the configuration" if found and found.configured else ""
    print(f"to {found.journal}, failures to {found.report}, from {found.sender}{origin}" if found else "off")


def _set(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    with store.transaction(scope) as tx:
        journaling.start(tx, arguments.journal, arguments.report)


def _off(store: Store, scope: int, arguments: argparse.Namespace) -> None:
    with store.transaction(scope) as tx:
        journaling.stop(tx)
