"""RCPT: whom the message is for; an unknown recipient is refused here, never bounced later (RFC 5321 §4.1.1.3).

A stranger may write to the addresses of the organizations hosted here and to nobody else. A user may write to
anybody, but an unknown address of a hosted domain is refused at once, too. Postmaster is always somebody, if the
operator has said who.
"""

from collections.abc import Generator
from typing import Any

from postroom.directory import domains
from postroom.mailflow import greylisting, inbound, recipients
from postroom.mailflow.envelopes import NOTHING_SAID
from postroom.mailflow.greylisting import Step
from postroom.model import errors
from postroom.protocols.smtp.grammar import Rcpt, Reply
from postroom.protocols.smtp.session import Ask, Conversation, Meet, Read, Session, Transaction, Write
from postroom.storage.engine import REGISTRY

_ROLES = frozenset({"postmaster", "abuse"})


def rcpt(session: Session, command: Rcpt) -> Conversation:
    """Take a recipient into the transaction."""
    transaction = session.transaction
    refusal = _untimely(session, transaction, command)
    if refusal or transaction is None:
        return refusal or Reply(503, "5.5.1", "MAIL first")
    refusal = yield from _unwelcome(session, command)
    if refusal:
        return refusal
    try:
        scope = yield from _admit(session, transaction, command)
    except errors.EntityNotFound:
        stand_in = _stand_in(session, command)
        if stand_in is None:
            if session.user_rates and session.actor:
                session.user_rates.guess(session.actor.user_id)
            if session.rates and not session.rates.guess(session.place):
                return Reply(421, "4.7.0", "Too many unknown recipients")
            raise
        command = stand_in
        scope = yield from _admit(session, transaction, command)
    if scope is None and not session.submitting:
        return Reply(550, "5.7.1", "Relaying denied")
    if session.greylisting and scope is not None and (yield from _is_to_wait(session, transaction, command, scope)):
        return Reply(451, "4.7.1", "Greylisted: try again in some minutes")
    if command.wish != NOTHING_SAID:
        transaction.wishes[command.address] = command.wish
    transaction.recipients.append((command.address, session.actor.scope if session.actor else scope or 0))
    return Reply(250, "2.1.5", "Recipient OK")


def _untimely(session: Session, transaction: Transaction | None, command: Rcpt) -> Reply | None:
    if transaction is None or transaction.spool is not None:
        return Reply(503, "5.5.1", "MAIL first")
    if len(transaction.recipients) >= session.settings.maximum_recipients:
        return Reply(452, "4.5.3", f"A message may have {session.settings.maximum_recipients} recipients")
    if not transaction.international and not command.address.isascii():
        return Reply(553, "5.6.7", "This address needs SMTPUTF8")
    return None


def _unwelcome(session: Session, command: Rcpt) -> Generator[Ask, Any, Reply | None]:
    """Give the refusal of a client that brings too much, or may bring nothing; anybody may write to postmaster (RFC 5321 §4.5.1)."""
    if session.rates and not session.rates.name(session.place):
        return Reply(451, "4.7.1", "Too many recipients from your network; try later")
    if session.user_rates and session.actor:
        if session.user_rates.guesses(session.actor.user_id):
            return Reply(450, "4.7.1", "You have named too many unknown recipients; try later")
        if not session.user_rates.name(session.actor.user_id):
            return Reply(451, "4.7.1", "You write to too many recipients; try later")
    if not session.meets or command.local.lower() in _ROLES:
        return None
    if session.unwelcome is None:
        session.unwelcome = yield Meet(session.client.address)
    return Reply(550, "5.7.1", session.unwelcome) if session.unwelcome else None


def _is_to_wait(session: Session, transaction: Transaction, command: Rcpt, scope: int) -> Generator[Ask, Any, bool]:
    """Say whether a stranger is to come again later, and write that down."""
    settings, address = session.greylisting, session.client.address
    if settings is None or not session.place or greylisting.exempt(settings, address, transaction.sender):
        return False
    who = greylisting.caller(address, transaction.sender, command.address)
    if who is None:
        return False
    step = yield Read(scope, greylisting.look, (settings, who))
    if step in (Step.LEARN, Step.BEGIN):
        yield Write(scope, greylisting.note, (who, step))
    return step in (Step.WAIT, Step.BEGIN)


def _stand_in(session: Session, command: Rcpt) -> Rcpt | None:
    """Find who gets the mail of a role that nobody has here (RFC 5321 §4.5.1, RFC 2142 §2)."""
    local, _, domain = session.settings.postmaster.rpartition("@")
    return Rcpt(local, domain, command.wish) if local and command.local.lower() in _ROLES else None


def _admit(session: Session, transaction: Transaction, command: Rcpt) -> Generator[Ask, Any, int | None]:
    """Find the scope that takes mail for an address; None when none does.

    A remembered route that leads nowhere is asked for again. Raises `EntityNotFound`, `OverQuota`.
    """
    if not command.domain:
        raise errors.EntityNotFound("Say postmaster of which domain")
    domain, now = command.domain.lower(), session.now()
    known = session.routes.find(domain, now)
    if known is not None:
        try:
            yield from _ask(session, known, command, transaction)
        except (errors.EntityNotFound, errors.OrganizationNotFound):
            session.routes.forget(domain)
        else:
            return known
    scope: int | None = yield Read(REGISTRY, domains.route, (domain,))
    if scope is not None:
        yield from _ask(session, scope, command, transaction)
        session.routes.remember(domain, scope, now)
    return scope


def _ask(session: Session, scope: int, command: Rcpt, transaction: Transaction) -> Generator[Ask, Any, None]:
    """Ask whether an address would take a letter; word is left of a stranger's that it has no room for.

    Raises `EntityNotFound`, `OverQuota`.
    """
    try:
        bounce = not transaction.sender and not session.submitting
        yield Read(scope, recipients.admit, (command.address, transaction.size, bounce))
    except errors.OverQuota as full:
        if not session.submitting:
            yield Write(scope, inbound.refuse_recipient, (command.address, full))
        raise
