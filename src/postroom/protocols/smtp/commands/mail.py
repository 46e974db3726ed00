"""MAIL: a mail transaction begins (RFC 5321 §4.1.1.2)."""

from postroom.mailflow import authorship, submission
from postroom.policy import sign_in
from postroom.protocols.smtp.grammar import Mail, Reply
from postroom.protocols.smtp.session import Conversation, Read, Session, Transaction


def mail(session: Session, command: Mail) -> Conversation:
    """Begin a transaction for a sender who may use this address, if the message can be taken at all."""
    until = _until(session, command)
    refusal = _untimely(session) or _too_large(session, command) or _impossible(session, command, until)
    if refusal:
        return refusal
    refusal = _too_many(session, command)
    if refusal:
        return refusal
    if session.actor is not None:
        yield Read(session.actor.scope, sign_in.require_admitted, (session.actor,))
    if session.actor is not None and command.sender:
        if not session.own_addresses:
            session.own_addresses = yield Read(session.actor.scope, authorship.own_addresses, (session.actor,))
        if not authorship.is_own(session.own_addresses, command.sender):
            yield Read(session.actor.scope, submission.require_sender, (session.actor, command.sender))
    session.transaction = Transaction(
        sender=command.sender,
        size=command.size or 0,
        eight_bit=command.eight_bit,
        international=command.international,
        returns=command.returns,
        envelope_id=command.envelope_id,
        require_tls=command.require_tls,
        hold_until=until,
    )
    return Reply(250, "2.1.0", "Sender OK")


def _until(session: Session, command: Mail) -> float:
    """Give until when the letter is to wait, epoch seconds, 0 for not at all (RFC 4865 §4)."""
    if command.hold_for is not None:
        return session.now() + command.hold_for
    return command.hold_until or 0.0


def _impossible(session: Session, command: Mail, until: float) -> Reply | None:
    """Refuse what is asked for where it has not been offered."""
    if command.require_tls and not session.secure:
        return Reply(530, "5.7.0", "REQUIRETLS needs TLS")  # RFC 8689 §4.1
    if (command.hold_for is not None or command.hold_until is not None) and not (session.submitting and session.settings.hold_seconds):
        return Reply(555, "5.5.4", "A letter cannot wait here")
    if until > session.now() + session.settings.hold_seconds:
        return Reply(501, "5.5.4", f"A letter may wait {session.settings.hold_seconds} seconds")
    return None


def _untimely(session: Session) -> Reply | None:
    if not session.hello:
        return Reply(503, "5.5.1", "Say EHLO first")
    if session.submitting and not session.secure:
        return Reply(530, "5.7.0", "Issue STARTTLS first")
    if session.submitting and session.actor is None:
        return Reply(530, "5.7.0", "Authentication required")
    if session.transaction is not None:
        return Reply(503, "5.5.1", "A transaction is under way already")
    return None


def _too_many(session: Session, command: Mail) -> Reply | None:
    """Refuse for the moment who sends too much; one user may send under several names."""
    if session.rates and not session.rates.send(session.place, "" if session.submitting else command.sender):
        return Reply(451, "4.7.1", "Too many messages from your network; try later")
    if session.user_rates and session.actor and not session.user_rates.send(session.actor.user_id):
        return Reply(451, "4.7.1", "You send too many messages; try later")
    return None


def _too_large(session: Session, command: Mail) -> Reply | None:
    """Refuse by the declared size, before a single octet is sent (RFC 1870 §6.1)."""
    if command.size is not None and command.size > session.settings.maximum_message:
        return Reply(552, "5.3.4", f"A message may have {session.settings.maximum_message} octets")
    return None
