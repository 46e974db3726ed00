"""AUTHENTICATE and LOGIN: prove who you are (RFC 3501 §6.2.2 and §6.2.3; PLAIN of RFC 4616, SASL-IR of RFC 4959)."""

import base64
import binascii
from collections.abc import Generator
from typing import Any

from postroom.mailbox import access
from postroom.mailbox.access import Right
from postroom.model import errors
from postroom.model.actors import Actor, Credentials
from postroom.protocols.imap.commands.capability import capabilities
from postroom.protocols.imap.errors import answer
from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.answers import Done
from postroom.protocols.imap.grammar.commands import Authenticate, Login
from postroom.protocols.imap.grammar.scanner import Malformed
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Ask, Look, SignIn, Step, Steps, Watch

_PRIVACY = answers.no(b"Use TLS before signing in.", b"PRIVACYREQUIRED")


def login(session: Session, command: Login) -> Steps:
    """Sign in with a user name and a password."""
    if not session.may_sign_in:
        return _PRIVACY
    return (yield from _sign_in(session, Credentials(_text(command.username), _text(command.password))))


def authenticate(session: Session, command: Authenticate) -> Steps:
    """Sign in by PLAIN or LOGIN."""
    mechanism = {b"PLAIN": _plain, b"LOGIN": _login}.get(command.mechanism)
    if mechanism is None:
        return answers.no(b"This mechanism is not known.", b"CANNOT")
    if not session.may_sign_in:
        return _PRIVACY
    credentials = yield from mechanism(command.initial)
    return (yield from _sign_in(session, credentials))


def _plain(initial: bytes | None) -> Generator[Step, Any, Credentials]:
    parts = (yield from _response(b"", initial)).split(b"\0")
    if len(parts) != 3:
        raise Malformed("not a PLAIN response")
    return Credentials(_text(parts[1]), _text(parts[2]), _text(parts[0]))


def _login(initial: bytes | None) -> Generator[Step, Any, Credentials]:
    username = yield from _response(b"Username:", initial)
    password = yield from _response(b"Password:", None)
    return Credentials(_text(username), _text(password))


def _response(challenge: bytes, given: bytes | None) -> Generator[Step, Any, bytes]:
    """Ask for a response unless it came with the command; `*` cancels (RFC 3501 §6.2.2)."""
    if given is None:
        given = yield Ask(b"+ " + base64.b64encode(challenge) + b"\r\n")
    if given == b"*":
        raise Malformed("cancelled")
    try:
        return base64.b64decode(given, validate=True)
    except binascii.Error:
        raise Malformed("not base64") from None


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise errors.SignInFailed() from None


def _sign_in(session: Session, credentials: Credentials) -> Generator[Step, Any, Done]:
    try:
        actor: Actor = yield SignIn(credentials)
    except errors.SignInFailed as error:
        session.failures += 1
        if session.failures >= session.settings.maximum_sign_ins:
            session.leaving = True
            yield b"* BYE Too many failed sign-ins.\r\n"
        return answer(error)
    session.actor = actor
    try:
        session.mailbox = yield Look(access.open_mailbox, actor, actor.home_id, Right.WRITE)
    except errors.PostroomError:
        session.actor = None
        raise
    yield Watch()
    return answers.ok(b"Signed in.", b"CAPABILITY " + capabilities(session))
