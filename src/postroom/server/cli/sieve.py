"""`postroom sieve`: the rules of users, for an administrator: listed, shown, checked, put, activated."""

import argparse
import re
import sys
from pathlib import Path

from postroom.mailbox.access import Mailbox
from postroom.mailflow.sieve import scripts
from postroom.mailflow.sieve.scripts import Limits
from postroom.model import errors
from postroom.server.cli import options
from postroom.server.cli.mailboxes import Action, in_mailbox
from postroom.server.settings import Settings
from postroom.storage.engine import Tx

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `sieve`."""
    options.add_configuration(parser)
    options.add_organization(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _verb(actions, "list", "list the scripts of a user", _list)
    _verb(actions, "show", "print a script", _show, "name")
    put = _verb(actions, "put", "put a script in the place of one of that name", _put, "name", "file")
    put.add_argument("--activate", action="store_true", help="and make it the active one")
    _verb(actions, "activate", "make a script the active one", _activate, "name")
    _verb(actions, "deactivate", "let no script be active", _deactivate)
    _verb(actions, "delete", "delete a script that is not active", _delete, "name")
    check = actions.add_parser("check", help="say whether a file is a script")
    check.add_argument("file", help="- for standard input")
    check.set_defaults(act=None)


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    settings = options.settings(arguments)
    limits = limits_of(settings)
    text = _read(arguments.file, limits) if "file" in arguments else b""
    if arguments.act is None:
        print("It is a script.")
        return 0
    arguments.text = text
    in_mailbox(settings, arguments, limits)
    return 0


def limits_of(settings: Settings) -> Limits:
    """Give how many scripts a mailbox may have, and how large."""
    return Limits(settings.managesieve.maximum_scripts, settings.managesieve.maximum_script)


def _verb(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, act: Action, *more: str
) -> argparse.ArgumentParser:
    verb = actions.add_parser(name, help=text)
    verb.add_argument("user", help="the user's id, name or address")
    for one in more:
        verb.add_argument(one, help="- for standard input" if one == "file" else "the script's name")
    verb.set_defaults(act=act)
    return verb


def _read(file: str, limits: Limits) -> bytes:
    """Read a script from a file; raises `MalformedScript`, `LimitExceeded`."""
    try:
        data = sys.stdin.buffer.read(limits.octets + 1) if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise errors.InvalidParameter(f"{file}: {error.strerror}") from None
    scripts.check(data, limits)
    return data


def _list(tx: Tx, mailbox: Mailbox, arguments: argparse.Namespace, limits: Limits) -> str:
    rows = [f"{'active' if one.active else '':<6} {one.size:>8} {one.name}" for one in scripts.all_of(tx, mailbox)]
    return "\n".join(rows) or "There are none."


def _show(tx: Tx, mailbox: Mailbox, arguments: argparse.Namespace, limits: Limits) -> str:
    text = scripts.get(tx, mailbox, arguments.name)
    return (_CONTROL.sub("?", text) if sys.stdout.isatty() else text).rstrip("\n")


def _put(tx: Tx, mailbox: Mailbox, arguments: argparse.Namespace, limits: Limits) -> str:
    scripts.put(tx, mailbox, arguments.name, arguments.text, limits)
    if arguments.activate:
        scripts.activate(tx, mailbox, arguments.name)
    return f"{arguments.name} is stored{' and active' if arguments.activate else ''}."


def _activate(tx: Tx, mailbox: Mailbox, arguments: argparse.Namespace, limits: Limits) -> str:
    if not arguments.name:
        raise errors.InvalidParameter("Say which script.")
    scripts.activate(tx, mailbox, arguments.name)
    return f"{arguments.name} is active."


def _deactivate(tx: Tx, mailbox: Mailbox, arguments: argparse.Namespace, limits: Limits) -> str:
    scripts.activate(tx, mailbox, "")
    return "No script is active."


def _delete(tx: Tx, mailbox: Mailbox, arguments: argparse.Namespace, limits: Limits) -> str:
    scripts.delete(tx, mailbox, arguments.name)
    return f"{arguments.name} is deleted."
