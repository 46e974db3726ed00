"""SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6 and §6.3.7)."""

from postroom.mailbox import folders
from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import Subscribe
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Steps, Write


def subscribe(session: Session, command: Subscribe) -> Steps:
    """Note whether a name is subscribed, be there a folder or not; names in the mailboxes of others too are noted at home."""
    yield Write(folders.subscribe, session.own, command.mailbox, command.on)
    return answers.ok(b"SUBSCRIBE completed." if command.on else b"UNSUBSCRIBE completed.")
