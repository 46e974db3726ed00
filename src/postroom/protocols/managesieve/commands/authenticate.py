"""AUTHENTICATE and UNAUTHENTICATE: prove who you are, by PLAIN (RFC 5804 §2.1, §2.14.1, RFC 4616)."""

import base64
import binascii

from postroom.mailbox import access
from postroom.mailbox.access import Right
from postroom.model import errors
from postroom.model.actors import Actor, Credentials
from postroom.protocols.managesieve.errors import answer
from postroom.protocols.managesieve.grammar import Done, no, ok
from postroom.protocols.managesieve.session import Challenge, Read, Session, SignIn, Steps


def authenticate(session: Session, mechanism: bytes, initial: bytes | None = None) -> Steps:
    """Sign in; whose mailbox is not there has no rules to set."""
    if mechanism.upper() != b"PLAIN":
        return no("This mechanism is not known.")
    if not session.may_sign_in:
        return no("Use TLS before signing in.", b"ENCRYPT-NEEDED")
    response = initial
    if response is None:
        words = yield Challenge(b'""\r\n')
        response = words[0] if len(words) == 1 and isinstance(words[0], bytes) else b"*"
    credentials = _plain(response)
    if credentials is None:
        return no("This is no PLAIN response.")
    try:
        actor: Actor = yield SignIn(credentials)
    except errors.SignInFailed as error:
        return _failed(session, error)
    yield Read(access.open_mailbox, actor, actor.home_id, Right.WRITE)
    session.actor = actor
    return ok("Signed in.")


def unauthenticate(session: Session) -> Steps:
    """Be a stranger again."""
    yield from ()
    session.actor = None
    return ok("Signed out.")


def _failed(session: Session, error: errors.SignInFailed) -> Done:
    session.failures += 1
    if session.failures >= session.settings.maximum_sign_ins:
        session.leaving = True
        return Done(b"BYE", "Too many failed sign-ins.")
    return answer(error)


def _plain(response: bytes) -> Credentials | None:
    """Read a response; None for what is none, and for `*`, which takes the command back."""
    try:
        authzid, username, password = base64.b64decode(response, validate=True).decode().split("\0")
    except (binascii.Error, ValueError):
        return None
    return Credentials(username, password, authzid)
