"""`postroom roles`: roles of the API, made and taken away where the data is. A running server notices within two seconds."""

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from postroom.directory import roles
from postroom.model.principals import Role, role_arn
from postroom.policy import iam
from postroom.policy.iam import inline_policies, trust
from postroom.policy.iam.access_keys import POLICY_NAME
from postroom.server import opening
from postroom.server.cli import options
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import roles as rows

Action = Callable[[Store, str, argparse.Namespace], None]


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `roles`."""
    options.add_configuration(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a role")
    create.add_argument("name", help="its name in ARNs: letters, digits and +=,.@_-")
    create.add_argument(
        "--trust",
        type=Path,
        metavar="FILE",
        help="a trust policy (JSON) that says who may assume it; else every user may whose own policy allows it",
    )
    _add_policy(create)
    create.add_argument("--hours", type=int, default=1, choices=range(1, 13), metavar="HOURS", help="the longest session, 1 to 12")
    create.set_defaults(action=_create)
    actions.add_parser("list", help="list all roles").set_defaults(action=_list)
    delete = actions.add_parser("delete", help="remove a role with its policies, and end its sessions")
    delete.add_argument("name")
    delete.set_defaults(action=_delete)
    policy = actions.add_parser("policy", help="show what a role may do, or say it anew in place of all its policies")
    policy.add_argument("name")
    _add_policy(policy)
    policy.set_defaults(action=_policy)


def _add_policy(parser: argparse.ArgumentParser) -> None:
    """Declare the ways to give a policy."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--full", action="store_const", dest="document", const=iam.ADMINISTRATOR, help="everything is allowed")
    group.add_argument("--read-only", action="store_const", dest="document", const=iam.READ_ONLY, help="Describe, Get and List")
    group.add_argument("--policy", type=Path, metavar="FILE", help="an IAM policy document (JSON)")


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    settings = options.settings(arguments)
    store = opening.open_store(settings)
    action: Action = arguments.action
    try:
        action(store, settings.api.account, arguments)
    finally:
        store.close()
    return 0


def _create(store: Store, account: str, arguments: argparse.Namespace) -> None:
    document, trusting = _document(arguments), _text(arguments.trust) if arguments.trust else _account(account)
    with store.transaction(REGISTRY) as tx:
        role = trust.create_role(tx, account, name=arguments.name, document=trusting, session_seconds=arguments.hours * 3600)
        if document is not None:
            inline_policies.put(tx, role.id, POLICY_NAME, document)
    print(_arn(account, role))


def _list(store: Store, account: str, arguments: argparse.Namespace) -> None:
    with store.transaction(REGISTRY, write=False) as tx:
        found = rows.page(tx, prefix="", after="", limit=roles.MOST_ROLES)
    for role in found:
        print(_arn(account, role))


def _delete(store: Store, account: str, arguments: argparse.Namespace) -> None:
    with store.transaction(REGISTRY) as tx:
        role = roles.get(tx, arguments.name)
        for name in inline_policies.names(tx, role.id):
            inline_policies.delete(tx, role.id, name)
        roles.delete(tx, arguments.name)


def _policy(store: Store, account: str, arguments: argparse.Namespace) -> None:
    document = _document(arguments)
    with store.transaction(REGISTRY, write=document is not None) as tx:
        role = roles.get(tx, arguments.name)
        shown = partial(inline_policies.get, tx, role.id)
        if document is None:
            print("\n".join(f"# {name}\n{shown(name)}" for name in inline_policies.names(tx, role.id)))
            return
        for name in inline_policies.names(tx, role.id):
            inline_policies.delete(tx, role.id, name)
        inline_policies.put(tx, role.id, POLICY_NAME, document)


def _document(arguments: argparse.Namespace) -> str | None:
    return _text(arguments.policy) if arguments.policy else arguments.document


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        sys.exit(f"postroom: {path}: {error.strerror}")


def _account(account: str) -> str:
    """Trust every user of the account whose own policies allow it."""
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _arn(account: str, role: Role) -> str:
    return role_arn(account, role.path, role.name)
