"""`postroom directory`: outside directories, listed, tried, and read now instead of when their time comes. A server may run meanwhile."""

import argparse
import datetime
from collections.abc import Callable

from postroom.directory import organizations, outside, synchronization
from postroom.directory.synchronization import Limits
from postroom.ldap.directory import Directory
from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.server import background, logs, opening
from postroom.server.cli import options
from postroom.server.settings import Settings
from postroom.storage.engine import REGISTRY, Store


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `directory`."""
    options.add_configuration(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("list", help="list the directories, whose they are, and how reading them went").set_defaults(action=_list)
    check = actions.add_parser("check", help="read a directory, change nothing, and say what is there")
    check.add_argument("name", metavar="NAME", help="as in [directories.NAME]")
    check.set_defaults(action=_check)
    sync = actions.add_parser("sync", help="read a directory now, and bring its organization to what is there")
    sync.add_argument("name", metavar="NAME", help="as in [directories.NAME]")
    sync.add_argument("--force", action="store_true", help="however many users and groups that takes away")
    sync.set_defaults(action=_sync)


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    settings = options.settings(arguments)
    logs.configure(format="console", level="error")
    action: Callable[[Settings, argparse.Namespace], None] = arguments.action
    action(settings, arguments)
    return 0


def _list(settings: Settings, arguments: argparse.Namespace) -> None:
    store = opening.open_store(settings)
    try:
        print(f"{'NAME':<16} {'ID':<12} {'ORGANIZATION':<20} {'READ':<17} OUTCOME")
        for directory in background.directories(settings).values():
            print(_line(store, directory))
    finally:
        store.close()


def _line(store: Store, directory: Directory) -> str:
    found = _organization(store, directory)
    head = f"{directory.name:<16} {directory.settings.id:<12}"
    if found is None:
        return f"{head} none"
    with store.transaction(found.number, write=False) as tx:
        row = outside.find(tx)
    outcome = ("not read yet" if row.tried_at is None else row.outcome or "well") if row else ""
    return f"{head} {found.alias:<20} {_time(row.synced_at if row else None):<17} {outcome}"


def _check(settings: Settings, arguments: argparse.Namespace) -> None:
    snapshot = _directory(settings, arguments.name).read()
    disabled = sum(not user.active for user in snapshot.users)
    print(f"{arguments.name}: {len(snapshot.users)} users, {disabled} of them disabled; {len(snapshot.groups)} groups")


def _sync(settings: Settings, arguments: argparse.Namespace) -> None:
    directory = _directory(settings, arguments.name)
    store = opening.open_store(settings)
    try:
        found = _organization(store, directory)
        if found is None:
            raise errors.OrganizationNotFound(f"No organization has the directory {directory.settings.id}; make one with this DirectoryId.")
        percent = 100.0 if arguments.force else directory.settings.vanishing_percent
        changed = synchronization.synchronize(store, found.number, directory, Limits(settings.api.users, percent))
        print(f"{found.alias}: {changed} changes")
    finally:
        store.close()


def _directory(settings: Settings, name: str) -> Directory:
    found = {directory.name: directory for directory in background.directories(settings).values()}
    if name not in found:
        raise errors.InvalidParameter(f"There is no [directories.{name}] in the configuration; there are: {', '.join(found) or 'none'}.")
    return found[name]


def _organization(store: Store, directory: Directory) -> Organization | None:
    with store.transaction(REGISTRY, write=False) as tx:
        return organizations.find_by_directory(tx, directory.settings.id)


def _time(at: float | None) -> str:
    return "never" if at is None else f"{datetime.datetime.fromtimestamp(at, datetime.UTC):%Y-%m-%d %H:%M}Z"
