"""STARTTLS: on with encryption (RFC 3207)."""

from postroom.protocols.smtp.grammar import Reply, StartTls
from postroom.protocols.smtp.session import Session


def starttls(session: Session, command: StartTls) -> Reply:
    """Agree; the loop drops all plain octets, shakes hands and starts the session afresh."""
    if session.secure:
        return Reply(503, "5.5.1", "TLS is active already")
    if not session.can_upgrade:
        return Reply(502, "5.5.1", "STARTTLS not offered")
    return Reply(220, "2.0.0", "Go ahead")
