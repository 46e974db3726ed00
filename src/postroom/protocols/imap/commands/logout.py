"""LOGOUT: say goodbye (RFC 3501 §6.1.3)."""

from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import Logout
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Steps


def logout(session: Session, command: Logout) -> Steps:
    """End the connection after the answer."""
    session.leave_folder()
    session.leaving = True
    yield b"* BYE Goodbye.\r\n"
    return answers.ok(b"LOGOUT completed.")
