"""NAMESPACE: where mailboxes are found (RFC 2342)."""

from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import Namespace
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Steps


def namespace(session: Session, command: Namespace) -> Steps:
    """Name the one namespace, the user's own."""
    yield b'* NAMESPACE (("" "/")) NIL NIL\r\n'
    return answers.ok(b"NAMESPACE completed.")
