"""`postroom users`: the last resort of an administrator who can reach the data but not the API."""

import argparse
import getpass
import secrets
import string
import sys
from collections.abc import Callable, Iterator

from postroom.directory import entities, users
from postroom.mailbox import expiry
from postroom.model import errors
from postroom.model.entities import Kind
from postroom.model.organizations import Organization
from postroom.policy import passwords
from postroom.server import opening
from postroom.server.cli import options
from postroom.storage.engine import Store
from postroom.storage.queries import entities as rows

PAGE = 500


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `users`."""
    options.add_configuration(parser)
    options.add_organization(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("list", help="list the users of an organization").set_defaults(action=_list)
    reset = actions.add_parser("reset-password", help="give a user a new password")
    reset.add_argument("user", help="the user's id, name or address")
    reset.add_argument("--password-stdin", action="store_true", help="read it from standard input instead of asking or making one")
    reset.set_defaults(action=_reset_password)
    recover = actions.add_parser("recover-deleted", help="give a user back what a retention policy took from Deleted Items in 30 days")
    recover.add_argument("user", help="the user's id, name or address")
    recover.set_defaults(action=_recover_deleted)


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    store = opening.open_store(options.settings(arguments))
    action: Callable[[Store, Organization, argparse.Namespace], None] = arguments.action
    try:
        action(store, options.organization(store, arguments.organization), arguments)
    finally:
        store.close()
    return 0


def _list(store: Store, organization: Organization, arguments: argparse.Namespace) -> None:
    print(f"{'ID':<36} {'STATE':<9} {'NAME':<24} ADDRESS")
    after: tuple[object, ...] | None = None
    while True:
        with store.transaction(organization.number, write=False) as tx:
            page = rows.page(tx, Kind.USER, where=None, after=after, limit=PAGE)
        for _, identifier, email, name, _, state, *_ in page:
            print(f"{identifier:<36} {state:<9} {name:<24} {email or ''}")
        if len(page) < PAGE:
            return
        after = page[-1][:2]


def _reset_password(store: Store, organization: Organization, arguments: argparse.Namespace) -> None:
    """Set a password read, asked for, or, when nobody can be asked, made and printed."""
    made = None
    if arguments.password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    elif sys.stdin.isatty():
        password = getpass.getpass("New password: ")
    else:
        password = made = _new_password()
    passwords.check_rules(password)
    stored = passwords.hash(password)
    with store.transaction(organization.number) as tx:
        users.reset_password(tx, arguments.user, stored)
        user = entities.get(tx, arguments.user)
    print(f"The password of {user.name} is changed." + (f" It is: {made}" if made else ""))


def _recover_deleted(store: Store, organization: Organization, arguments: argparse.Namespace) -> None:
    """Move a batch at a time; what has been moved stays moved when there is no room for the rest."""
    with store.transaction(organization.number, write=False) as tx:
        user = entities.get(tx, arguments.user)
    recovered = 0
    try:
        for batch in _batches(store, organization, user.id):
            recovered += batch
    except errors.NotPermitted:
        raise errors.EntityState(f"{user.name} has no mailbox.") from None
    finally:
        print(f"{user.name}: {recovered} recovered to Deleted Items")


def _batches(store: Store, organization: Organization, owner: str) -> Iterator[int]:
    """Recover until nothing is left, fewer at once where there is no room for more; raises `OverQuota` when there is none for one."""
    limit = expiry.BATCH
    while True:
        try:
            with store.transaction(organization.number) as tx:
                batch = expiry.recover(tx, owner, limit)
        except errors.OverQuota:
            if limit == 1:
                raise
            limit //= 2
            continue
        if not batch:
            return
        yield batch


def _new_password() -> str:
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(16)) + "-7Aa"
