"""NAMESPACE: where mailboxes are found (RFC 2342)."""

from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import Namespace
from postroom.protocols.imap.grammar.names import SHARED
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Steps


def namespace(session: Session, command: Namespace) -> Steps:
    """Name the user's own namespace, and that of the mailboxes which others have opened to the user."""
    others = b'(("%b/" "/"))' % SHARED.encode() if session.origin.sees_others else b"NIL"
    yield b'* NAMESPACE (("" "/")) %b NIL\r\n' % others
    return answers.ok(b"NAMESPACE completed.")
