"""What verbs have in common that do something in the mailbox of one user."""

import argparse
from collections.abc import Callable

from postroom.directory import entities
from postroom.mailbox import access
from postroom.mailbox.access import Mailbox
from postroom.mailflow.sieve.scripts import Limits
from postroom.model import errors
from postroom.server import opening
from postroom.server.cli import options
from postroom.server.settings import Settings
from postroom.storage.engine import Tx

Action = Callable[[Tx, Mailbox, argparse.Namespace, Limits], str]
"""Does something and says what was done."""


def in_mailbox(settings: Settings, arguments: argparse.Namespace, limits: Limits) -> None:
    """Do `arguments.act` in the mailbox of `arguments.user`, and print what it says; raises `EntityState` where there is no mailbox."""
    act: Action = arguments.act
    store = opening.open_store(settings)
    try:
        organization = options.organization(store, arguments.organization)
        with store.transaction(organization.number) as tx:
            user = entities.get(tx, arguments.user)
            try:
                mailbox = access.open_for_upkeep(tx, user.id)
            except errors.NotPermitted:
                raise errors.EntityState(f"{user.name} has no mailbox.") from None
            said = act(tx, mailbox, arguments, limits)
    finally:
        store.close()
    print(said)
