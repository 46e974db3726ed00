"""IDLE: wait, and be told at once (RFC 2177)."""

from postroom.protocols.imap import updates
from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import Idle
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Listen, Steps

LISTEN = Listen()


def idle(session: Session, command: Idle) -> Steps:
    """Tell every change as it comes, until the client says DONE."""
    yield b"+ idling\r\n"
    while (line := (yield LISTEN)) is None:
        yield (yield from updates.announce(session, expunges=True))
        if session.leaving:
            return answers.SILENT
    if line.strip().upper() != b"DONE":
        return answers.bad(b"DONE expected.")
    return answers.ok(b"IDLE completed.")
