"""CAPABILITY, NOOP, LOGOUT and STARTTLS (RFC 5804 §2.2 to §2.4, §2.13)."""

from dataclasses import replace

import postroom
from postroom.formats.sieve.vocabulary import EXTENSIONS
from postroom.mailflow.sieve.interpreter import MAX_REDIRECTS
from postroom.protocols.managesieve.grammar import no, ok, string
from postroom.protocols.managesieve.session import Session, StartTls, Steps


def capabilities(session: Session) -> bytes:
    """List what may be used now, a line each (RFC 5804 §1.7)."""
    lines = [
        ("IMPLEMENTATION", f"Postroom {postroom.__version__}"),
        ("SIEVE", " ".join(EXTENSIONS)),
        ("SASL", "PLAIN" if session.may_sign_in and session.actor is None else ""),
        ("MAXREDIRECTS", str(MAX_REDIRECTS)),
        ("VERSION", "1.0"),
    ]
    if session.actor is not None:
        lines.append(("OWNER", session.actor.email))
    out = b"".join([string(name) + b" " + string(value) + b"\r\n" for name, value in lines])
    out += b'"STARTTLS"\r\n' if session.may_start_tls and session.actor is None else b""
    return out + b'"UNAUTHENTICATE"\r\n'


def capability(session: Session) -> Steps:
    """List the capabilities."""
    yield capabilities(session)
    return ok("Those are all.")


def noop(session: Session, tag: bytes | None = None) -> Steps:
    """Do nothing, and give back the tag."""
    yield from ()
    return ok("Nothing is done.", b"" if tag is None else b"TAG " + string(tag))


def logout(session: Session) -> Steps:
    """End the connection after the answer."""
    yield from ()
    session.leaving = True
    return ok("Goodbye.")


def start_tls(session: Session) -> Steps:
    """Encrypt the connection; whatever came in before counts for nothing, and the capabilities are told again."""
    if not session.may_start_tls:
        return no("STARTTLS is not possible here.")
    yield StartTls(ok("Begin TLS now.").line())
    session.client = replace(session.client, secure=True)
    yield capabilities(session)
    return ok("Encrypted.")
