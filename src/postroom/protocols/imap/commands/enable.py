"""ENABLE: ask for extensions that change the answers (RFC 5161)."""

from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import Enable
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Steps


def enable(session: Session, command: Enable) -> Steps:
    """Enable CONDSTORE, the only one there is; others are passed over."""
    if b"CONDSTORE" not in command.names:
        yield b"* ENABLED\r\n"
    else:
        yield b"* ENABLED CONDSTORE\r\n" + use_condstore(session)
    return answers.ok(b"ENABLE completed.")


def use_condstore(session: Session) -> bytes:
    """From now on give the modseq with every change; gives what to tell the client first (RFC 7162 §3.1)."""
    if session.condstore:
        return b""
    session.condstore = True
    if session.selected is None:
        return b""
    session.selected.condstore = True
    return b"* OK [HIGHESTMODSEQ %d] From here on.\r\n" % session.selected.modseq
