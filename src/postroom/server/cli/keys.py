"""`postroom keys`: access keys of the API, made and taken away where the data is. A running server notices within two seconds.

A key belongs to a user, who is made with the first one.
"""

import argparse
import datetime
import sys
from collections.abc import Callable
from pathlib import Path

from postroom.directory import principals
from postroom.model.principals import KeyStatus
from postroom.policy import iam
from postroom.policy.iam import access_keys
from postroom.server import opening
from postroom.server.cli import options, serve
from postroom.storage.engine import REGISTRY, Store


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `keys`."""
    options.add_configuration(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    create = actions.add_parser(
        "create",
        help="make a key and print it; the secret is never shown again",
        description="A new user needs a policy. For one who is there, leave it out, or give the only policy that the user has.",
    )
    create.add_argument("name", help="the name of the user in ARNs: letters, digits and +=,.@_-")
    policy = create.add_mutually_exclusive_group()
    policy.set_defaults(document=None)
    policy.add_argument("--full", action="store_const", dest="document", const=iam.ADMINISTRATOR, help="everything is allowed")
    policy.add_argument("--read-only", action="store_const", dest="document", const=iam.READ_ONLY, help="Describe, Get and List")
    policy.add_argument("--policy", type=Path, metavar="FILE", help="an IAM policy document (JSON)")
    create.set_defaults(action=_create)
    actions.add_parser("list", help="list all keys, never their secrets").set_defaults(action=_list)
    for name, action, text in (
        ("disable", _disable, "let a key sign no more"),
        ("enable", _enable, "let a key sign again"),
        ("delete", _delete, "remove a key for good"),
    ):
        verb = actions.add_parser(name, help=text)
        verb.add_argument("key", metavar="ACCESS_KEY_ID")
        verb.set_defaults(action=action)


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    store = opening.open_store(options.settings(arguments))
    action: Callable[[Store, argparse.Namespace], None] = arguments.action
    try:
        action(store, arguments)
    finally:
        store.close()
    return 0


def _create(store: Store, arguments: argparse.Namespace) -> None:
    try:
        document = arguments.policy.read_text() if arguments.policy else arguments.document
    except OSError as error:
        sys.exit(f"postroom: {arguments.policy}: {error.strerror}")
    with store.transaction(REGISTRY) as tx:
        if document is None:
            key = access_keys.issue_another(tx, name=arguments.name)
        else:
            key = access_keys.issue(tx, name=arguments.name, policy=document)
    print(serve.told(key))


def _list(store: Store, arguments: argparse.Namespace) -> None:
    with store.transaction(REGISTRY, write=False) as tx:
        found = principals.page(tx)
    print(f"{'ACCESS KEY ID':<22} {'STATUS':<9} {'CREATED':<17} {'LAST USED':<17} NAME")
    for key in found:
        print(f"{key.id:<22} {key.status:<9} {_time(key.created_at):<17} {_time(key.last_used_at):<17} {key.name}")


def _disable(store: Store, arguments: argparse.Namespace) -> None:
    with store.transaction(REGISTRY) as tx:
        principals.set_status(tx, arguments.key, KeyStatus.INACTIVE)


def _enable(store: Store, arguments: argparse.Namespace) -> None:
    with store.transaction(REGISTRY) as tx:
        principals.set_status(tx, arguments.key, KeyStatus.ACTIVE)


def _delete(store: Store, arguments: argparse.Namespace) -> None:
    with store.transaction(REGISTRY) as tx:
        principals.delete(tx, arguments.key)


def _time(at: float | None) -> str:
    return "never" if at is None else f"{datetime.datetime.fromtimestamp(at, datetime.UTC):%Y-%m-%d %H:%M}Z"
