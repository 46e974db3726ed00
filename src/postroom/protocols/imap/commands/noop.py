"""NOOP and CHECK: nothing, but for what there is to tell (RFC 3501 §6.1.2 and §6.4.1)."""

from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import Check, Noop
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Steps

_NOOP = answers.ok(b"NOOP completed.")
_CHECK = answers.ok(b"CHECK completed.")


def noop(session: Session, command: Noop) -> Steps:
    """Do nothing."""
    yield from ()
    return _NOOP


def check(session: Session, command: Check) -> Steps:
    """Do nothing: what was answered OK is durable already."""
    yield from ()
    return _CHECK
