"""AUTH: the client proves who it is, by PLAIN or LOGIN and only under TLS (RFC 4954, RFC 4616)."""

import base64
import binascii
from collections.abc import Generator
from typing import Any

from postroom.model import errors
from postroom.model.actors import Credentials
from postroom.protocols.smtp.grammar import Auth, BadCommand, Reply
from postroom.protocols.smtp.session import Ask, Challenge, Conversation, Session, SignIn

MAXIMUM_FAILURES = 3
_USERNAME = base64.b64encode(b"Username:").decode()
_PASSWORD = base64.b64encode(b"Password:").decode()


def auth(session: Session, command: Auth) -> Conversation:
    """Sign the client in; the third failure ends the connection."""
    refusal = _untimely(session)
    if refusal:
        return refusal
    exchange = _EXCHANGES.get(command.mechanism)
    if exchange is None:
        return Reply(504, "5.5.4", "PLAIN or LOGIN")
    credentials = yield from exchange(command.initial)
    try:
        session.actor = yield SignIn(credentials)
    except errors.TryLater as error:
        return Reply(454, "4.7.0", error.text)
    except errors.SignInFailed as error:
        session.failed_sign_ins += 1
        if session.failed_sign_ins >= MAXIMUM_FAILURES:
            return Reply(421, "4.7.0", "Too many failed sign-ins")
        return Reply(535, "5.7.8", error.text)
    session.own_addresses = ()
    return Reply(235, "2.7.0", "Signed in")


def _untimely(session: Session) -> Reply | None:
    if not session.submitting:
        return Reply(502, "5.5.1", "No AUTH on this port; users send by the submission port")
    if not session.secure:
        return Reply(530, "5.7.0", "Issue STARTTLS first")
    if not session.extended:
        return Reply(503, "5.5.1", "Say EHLO first")
    if session.actor is not None:
        return Reply(503, "5.5.1", "Signed in already")
    if session.transaction is not None:
        return Reply(503, "5.5.1", "Not within a transaction")
    return None


def _plain(initial: str | None) -> Generator[Ask, Any, Credentials]:
    """Read `authzid NUL authcid NUL password` (RFC 4616 §2)."""
    words = (yield from _answer(initial, "")).split("\0")
    if len(words) != 3 or not words[1] or not words[2]:
        raise BadCommand(Reply(501, "5.5.2", "Not a PLAIN response"))
    return Credentials(words[1], words[2], words[0])


def _login(initial: str | None) -> Generator[Ask, Any, Credentials]:
    """Ask for the name, then the password, as Outlook knows it ([MS-XLOGIN] §2.2)."""
    username = yield from _answer(initial, _USERNAME)
    password = yield from _answer(None, _PASSWORD)
    return Credentials(username, password)


def _answer(initial: str | None, challenge: str) -> Generator[Ask, Any, str]:
    """Give the initial response or the answer to a challenge; raises `BadCommand` when it is cancelled or not base64."""
    line = initial
    if line is None:
        octets: bytes = yield Challenge(challenge)
        line = octets.decode("ascii", "replace")
    if line == "*":
        raise BadCommand(Reply(501, "5.7.0", "Cancelled"))
    try:
        return base64.b64decode(line, validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadCommand(Reply(501, "5.5.2", "Not base64 of UTF-8")) from None


_EXCHANGES = {"PLAIN": _plain, "LOGIN": _login}
