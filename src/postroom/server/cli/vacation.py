"""`postroom vacation`: an automatic reply for somebody who is away, put there by an administrator."""

import argparse
import sys
from datetime import date

from postroom.mailbox.access import Mailbox
from postroom.mailflow.sieve import absence
from postroom.mailflow.sieve.absence import Absence
from postroom.mailflow.sieve.scripts import Limits
from postroom.server.cli import options
from postroom.server.cli.mailboxes import in_mailbox
from postroom.server.cli.sieve import limits_of
from postroom.storage.engine import Tx


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `vacation`."""
    options.add_configuration(parser)
    options.add_organization(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    on = actions.add_parser("on", help="answer letters to a user from now on, or between two days")
    on.add_argument("user", help="the user's id, name or address")
    on.add_argument("--text", required=True, help="what is answered; - reads it from standard input")
    on.add_argument("--subject", default="", help="the subject of the answer; that of the letter by default")
    on.add_argument("--from", dest="first", type=date.fromisoformat, metavar="YYYY-MM-DD", help="the first day")
    on.add_argument("--until", dest="last", type=date.fromisoformat, metavar="YYYY-MM-DD", help="the last day")
    on.add_argument("--zone", default="", metavar="+HHMM", help="the time zone of these days; this server's by default")
    on.add_argument("--days", type=int, default=7, help="within how many days nobody gets a second answer (%(default)s)")
    on.set_defaults(act=_on)
    for name, text, act in (("off", "answer no more", _off), ("show", "print the answer as Sieve has it", _show)):
        verb = actions.add_parser(name, help=text)
        verb.add_argument("user", help="the user's id, name or address")
        verb.set_defaults(act=act)


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    settings = options.settings(arguments)
    limits = limits_of(settings)
    if getattr(arguments, "text", "") == "-":
        arguments.text = sys.stdin.read(limits.octets)
    in_mailbox(settings, arguments, limits)
    return 0


def _on(tx: Tx, mailbox: Mailbox, arguments: argparse.Namespace, limits: Limits) -> str:
    away = Absence(arguments.text, arguments.subject, arguments.first, arguments.last, arguments.zone, arguments.days)
    name = absence.put(tx, mailbox, away, limits)
    return f"{arguments.user} answers by the script {name}."


def _off(tx: Tx, mailbox: Mailbox, arguments: argparse.Namespace, limits: Limits) -> str:
    done = absence.take_out(tx, mailbox, limits)
    return f"{arguments.user} answers no more." if done else f"{arguments.user} has no answer of this command."


def _show(tx: Tx, mailbox: Mailbox, arguments: argparse.Namespace, limits: Limits) -> str:
    return absence.find(tx, mailbox) or "There is none."
