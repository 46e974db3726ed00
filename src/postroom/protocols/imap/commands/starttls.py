"""STARTTLS: go on encrypted (RFC 3501 §6.2.1)."""

from dataclasses import replace

from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import StartTls as Command
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import StartTls, Steps


def starttls(session: Session, command: Command) -> Steps:
    """Encrypt the connection; whatever came in before counts for nothing."""
    if not session.may_start_tls:
        return answers.bad(b"STARTTLS is not possible here.")
    yield StartTls(answers.ok(b"Begin TLS now.").line(session.tag))
    session.client = replace(session.client, secure=True)
    return answers.SILENT
