"""MAIL: a mail transaction begins (RFC 5321 §4.1.1.2)."""

from postroom.mailflow import authorship, submission
from postroom.policy import sign_in
from postroom.protocols.smtp.grammar import Mail, Reply
from postroom.protocols.smtp.session import Conversation, Read, Session, Transaction


def mail(session: Session, command: Mail) -> Conversation:
    """Begin a transaction for a sender who may use this address, if the message can be taken at all."""
    refusal = _untimely(session) or _too_large(session, command)
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
    )
    return Reply(250, "2.1.0", "Sender OK")


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
