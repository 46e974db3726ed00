"""ID: who speaks (RFC 2971)."""

from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import Id
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Steps


def id(session: Session, command: Id) -> Steps:
    """Name the server, but not its version; what the client says of itself is not used."""
    yield b'* ID ("name" "Postroom")\r\n'
    return answers.ok(b"ID completed.")
