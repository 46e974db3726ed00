"""RSET, NOOP, QUIT, VRFY and HELP: nothing but an answer (RFC 5321 §4.1.1.5 to §4.1.1.10)."""

from postroom.protocols.smtp.grammar import Help, Noop, Quit, Reply, Rset, Vrfy
from postroom.protocols.smtp.session import Session


def rset(session: Session, command: Rset) -> Reply:
    """Drop the transaction."""
    session.reset()
    return Reply(250, "2.0.0", "Reset")


def noop(session: Session, command: Noop) -> Reply:
    """Do nothing."""
    return Reply(250, "2.0.0", "OK")


def quit_(session: Session, command: Quit) -> Reply:
    """Say goodbye."""
    session.reset()
    return Reply(221, "2.0.0", f"{session.settings.hostname} closing")


def vrfy(session: Session, command: Vrfy) -> Reply:
    """Tell nothing about anybody (RFC 5321 §7.3)."""
    return Reply(252, "2.5.0", "Send mail and see")


def help_(session: Session, command: Help) -> Reply:
    """List the verbs."""
    verbs = "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP"
    return Reply(214, "2.0.0", verbs + (" STARTTLS" if session.can_upgrade else "") + (" AUTH" if session.submitting else ""))
