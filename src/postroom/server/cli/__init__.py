"""The command line: one module per verb, imported only when it is asked for."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

import postroom

VERBS = {
    "serve": "run the server",
    "demo": "run an organization with two users, on high ports, under one folder",
    "keys": "access keys of the API: create, list, disable, enable, delete",
    "roles": "roles of the API: create, list, delete, policy",
    "users": "users, when the API is out of reach: list, reset-password, recover-deleted",
    "tokens": "personal access tokens of users: create, list, delete",
    "domains": "mail domains: list, records, keys, verify",
    "certificates": "certificates that clients are shown: list, renew",
    "directory": "outside directories: list, check, sync",
    "flow": "rules for letters that come in and go out: list, show, put, delete, test",
    "queue": "mail that waits to be sent: list, destinations, show, retry, hold, release, drop",
    "senders": "users who write to far more others than before: list, release, drop, trust, watch, hold",
    "sieve": "rules of users: list, show, check, put, activate, deactivate, delete",
    "vacation": "an automatic reply for somebody who is away: on, off, show",
    "journal": "records of all letters that come in and go out: show, set, off",
    "jobs": "background work: list, run",
    "audit": "who has called the API: by operation, user, organization, time and outcome",
    "reports": "what other servers have reported of our domains: show, summary",
    "trace": "what has become of a letter: received, delivered, sent, bounced",
    "check": "look at configuration, ports, DNS, disk and keys, and say what to do",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; what went wrong is one line on standard error and exit status 1."""
    options = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="postroom", description="A mail server that is administered through the Amazon WorkMail API.")
    parser.add_argument("--version", action="version", version=f"postroom {postroom.__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    asked = next((word for word in options if word in VERBS), None)
    for name, text in VERBS.items():
        verb = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name == asked:
            module = importlib.import_module(f"postroom.server.cli.{name}")
            module.describe(verb)
            verb.set_defaults(run=module.run)
    parsed = parser.parse_args(options)

    from postroom.model.errors import PostroomError
    from postroom.server.configuration import ConfigurationError
    from postroom.server.listeners import PortTaken

    others = os.umask(0o077)  # what any verb makes is for the user that runs it
    try:
        return int(parsed.run(parsed))
    except (ConfigurationError, PortTaken, PostroomError) as error:
        print(f"postroom: {error}", file=sys.stderr)
        return 1
    finally:
        os.umask(others)
