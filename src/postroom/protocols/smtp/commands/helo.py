"""HELO and EHLO: the client says its name, the server what it can do (RFC 5321 §4.1.1.1)."""

from datetime import UTC, datetime

from postroom.protocols.smtp.grammar import Helo, Reply
from postroom.protocols.smtp.session import Session


def helo(session: Session, command: Helo) -> Reply:
    """Note the name, start afresh, and list the extensions to those who know of them."""
    session.reset()
    session.hello, session.extended = command.name, command.extended
    if command.extended:
        return Reply(250, "", session.settings.hostname, extensions(session))
    return Reply(250, "", session.settings.hostname)


def extensions(session: Session) -> tuple[str, ...]:
    """List the keywords of EHLO for this client as it stands."""
    words = [
        "PIPELINING",  # RFC 2920
        f"SIZE {session.settings.maximum_message}",  # RFC 1870
        "8BITMIME",  # RFC 6152
        "SMTPUTF8",  # RFC 6531
        "ENHANCEDSTATUSCODES",  # RFC 2034
        "CHUNKING",  # RFC 3030
        "DSN",  # RFC 3461
        f"LIMITS RCPTMAX={session.settings.maximum_recipients}",  # RFC 9422
    ]
    if session.secure:
        words.append("REQUIRETLS")  # RFC 8689
    if session.submitting and session.secure and session.settings.hold_seconds:
        words.append(f"FUTURERELEASE {session.settings.hold_seconds} {_latest(session)}")  # RFC 4865
    if session.can_upgrade and not session.secure:
        words.append("STARTTLS")  # RFC 3207
    if session.submitting and session.secure and session.actor is None:
        words.append("AUTH PLAIN LOGIN")  # RFC 4954
    words.append("HELP")
    return tuple(words)


def _latest(session: Session) -> str:
    """Give until when a letter may wait, as RFC 3339 writes it."""
    return datetime.fromtimestamp(session.now() + session.settings.hold_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
