"""CAPABILITY: what this server can do on this connection (RFC 3501 §6.1.1)."""

from functools import lru_cache

from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import Capability
from postroom.protocols.imap.session import Session, State
from postroom.protocols.imap.steps import Steps

ALWAYS = b"IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE"
SIGNED_IN = (
    b"NAMESPACE UNSELECT UIDPLUS MOVE CHILDREN SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE"
    b" CONDSTORE ESEARCH WITHIN MULTIAPPEND QUOTA QUOTA=RES-STORAGE"
)


def capabilities(session: Session) -> bytes:
    """List what may be used now."""
    return _list(session.state is State.STRANGER, session.may_start_tls, session.may_sign_in, session.settings.maximum_message)


@lru_cache(maxsize=64)
def _list(stranger: bool, may_start_tls: bool, may_sign_in: bool, message: int) -> bytes:
    if not stranger:
        return b"%b %b APPENDLIMIT=%d" % (ALWAYS, SIGNED_IN, message)
    words = [ALWAYS]
    if may_start_tls:
        words.append(b"STARTTLS")
    words.append(b"AUTH=PLAIN AUTH=LOGIN" if may_sign_in else b"LOGINDISABLED")
    return b" ".join(words)


def capability(session: Session, command: Capability) -> Steps:
    """List the capabilities."""
    yield b"* CAPABILITY %b\r\n" % capabilities(session)
    return answers.ok(b"CAPABILITY completed.")
