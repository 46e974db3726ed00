"""`postroom tokens`: personal access tokens of users, made and taken away where the data is. A server may run meanwhile."""

import argparse
import datetime
from collections.abc import Callable

from postroom.directory import entities
from postroom.model.organizations import Organization
from postroom.policy import tokens
from postroom.policy.tokens import SCOPES, Token
from postroom.server import opening
from postroom.server.cli import options
from postroom.storage.engine import Store

PAGE = 500


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `tokens`."""
    options.add_configuration(parser)
    options.add_organization(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a token of a user and print it; it is never shown again")
    create.add_argument("user", help="the user's id, name or address")
    create.add_argument("--name", required=True, help="what it is for, such as the name of a device")
    create.add_argument("--days", type=int, help="how long it lives; else as long as the organization's configuration says")
    create.add_argument(
        "--scope", action="append", default=[], metavar="PROTOCOL", help=f"what it opens, once or several times: {', '.join(SCOPES)} (All)"
    )
    create.set_defaults(action=_create)
    listing = actions.add_parser("list", help="list tokens, never what opens")
    listing.add_argument("user", nargs="?", help="those of this user only")
    listing.set_defaults(action=_list)
    delete = actions.add_parser("delete", help="let a token open no more")
    delete.add_argument("id", metavar="TOKEN_ID")
    delete.set_defaults(action=_delete)


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    store = opening.open_store(options.settings(arguments))
    action: Callable[[Store, Organization, argparse.Namespace], None] = arguments.action
    try:
        action(store, options.organization(store, arguments.organization), arguments)
    finally:
        store.close()
    return 0


def _create(store: Store, organization: Organization, arguments: argparse.Namespace) -> None:
    with store.transaction(organization.number) as tx:
        made, text = tokens.create(tx, arguments.user, name=arguments.name, days=arguments.days, scopes=arguments.scope)
        user = entities.get(tx, made.user_id)
    print(
        f"Token:   {text}\nId:      {made.id}\nUser:    {user.email}\nOpens:   {', '.join(made.scopes)}\nExpires: {_time(made.expires_at)}"
    )


def _list(store: Store, organization: Organization, arguments: argparse.Namespace) -> None:
    print(f"{'ID':<32} {'USER':<36} {'CREATED':<17} {'LAST USED':<17} {'EXPIRES':<17} {'OPENS':<20} NAME")
    after = ""
    while True:
        with store.transaction(organization.number, write=False) as tx:
            page = tokens.page(tx, user=arguments.user, after=after, limit=PAGE)
        for token in page:
            print(_line(token))
        if len(page) < PAGE:
            return
        after = page[-1].id


def _delete(store: Store, organization: Organization, arguments: argparse.Namespace) -> None:
    with store.transaction(organization.number) as tx:
        tokens.delete(tx, tokens.get(tx, arguments.id).id)


def _line(token: Token) -> str:
    times = " ".join(f"{_time(at):<17}" for at in (token.created_at, token.used_at, token.expires_at))
    return f"{token.id:<32} {token.user_id:<36} {times} {','.join(token.scopes):<20} {token.name}"


def _time(at: float | None) -> str:
    return "never" if at is None else f"{datetime.datetime.fromtimestamp(at, datetime.UTC):%Y-%m-%d %H:%M}Z"
