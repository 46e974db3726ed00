"""`postroom certificates`: what clients are shown, and an order made now. A server that runs meanwhile shows it within a minute."""

import argparse
import datetime
import sys
from collections.abc import Callable

from postroom.model import errors
from postroom.model.addresses import domain_key
from postroom.server import certificate_findings, logs, opening
from postroom.server.cli import options
from postroom.server.configuration import ConfigurationError
from postroom.server.presented import Unreadable
from postroom.server.settings import Settings


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `certificates`."""
    options.add_configuration(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("list", help="list them: whose they are, when they end, to whom they are shown").set_defaults(action=_list)
    renew = actions.add_parser(
        "renew",
        help="order a certificate by ACME now, whether it is due or not",
        description="The server must run, as it answers the authority. This waits for nothing, but it keeps to the bounds of orders.",
    )
    renew.add_argument("name")
    renew.set_defaults(action=_renew)


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    action: Callable[[Settings, argparse.Namespace], int] = arguments.action
    return action(options.settings(arguments), arguments)


def _list(settings: Settings, arguments: argparse.Namespace) -> int:
    try:
        rows = list(certificate_findings.rows(settings))
    except Unreadable as error:
        raise ConfigurationError(f"[tls] {error}") from None
    print(f"{'NAME':<40} {'SOURCE':<7} {'ENDS':<17} SHOWN")
    for row in rows:
        ends = f"{datetime.datetime.fromtimestamp(row.ends, datetime.UTC):%Y-%m-%d %H:%M}Z" if row.ends else "none yet"
        print(f"{row.name:<40} {row.source:<7} {ends:<17} {row.shown}")
        print(f"{'':<40} {row.files.certificate}")
    for name, reason in certificate_findings.failures(settings):
        print(f"{name:<40} acme    not issued: {reason}")
    return 0


def _renew(settings: Settings, arguments: argparse.Namespace) -> int:
    """Order a certificate; exit status 1 when there is none, or another process is at work."""
    if not settings.tls.acme.enabled:
        raise errors.InvalidParameter("[tls.acme] is not enabled.")
    from postroom.server.acme.account import Refused
    from postroom.server.acme.orders import Orders

    logs.configure(format="console", level="critical")
    name = domain_key(arguments.name)
    store = opening.open_store(settings)
    try:
        orders = Orders(settings, store)
        wanted = orders.wanted()
        if name not in wanted:
            raise errors.InvalidParameter(f"{name} is none of the names of this server: {', '.join(wanted[:20])}.")
        with orders.alone() as taken:
            if not taken:
                print("postroom: another process is ordering a certificate; try again", file=sys.stderr)
                return 1
            orders.order(name, asked=True)
    except Refused as error:
        print(f"postroom: no certificate for {name}: {error}", file=sys.stderr)
        return 1
    finally:
        store.close()
    print(f"{name} has a new certificate.")
    return 0
