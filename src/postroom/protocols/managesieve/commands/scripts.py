"""The scripts of a mailbox: put, checked, listed, fetched, activated, renamed, deleted (RFC 5804 §2.5 to §2.12).

Each command asks, in its own transaction, whether the user would still get in.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from postroom.mailbox import access
from postroom.mailbox.access import Mailbox, Right
from postroom.mailflow.sieve import scripts
from postroom.mailflow.sieve.scripts import Stored
from postroom.model import errors
from postroom.model.actors import Actor
from postroom.policy import sign_in
from postroom.protocols.managesieve.grammar import literal, ok, string
from postroom.protocols.managesieve.session import Read, Session, Steps, Work, Write
from postroom.storage.engine import Tx

T = TypeVar("T")


def have_space(session: Session, name: bytes, size: int) -> Steps:
    """Say whether a script of that size could be put."""
    yield Read(_at_home, session.actor, scripts.require_room, _text(name), size, session.limits)
    return ok("There is room.")


def put_script(session: Session, name: bytes, content: bytes) -> Steps:
    """Put a script that is one."""
    yield Work(scripts.check, content, session.limits)
    yield Write(_at_home, session.actor, scripts.put, _text(name), content, session.limits)
    return ok("The script is stored.")


def check_script(session: Session, content: bytes) -> Steps:
    """Say whether a script is one."""
    yield Work(scripts.check, content, session.limits)
    return ok("The script is all right.")


def list_scripts(session: Session) -> Steps:
    """List the scripts."""
    found: list[Stored] = yield Read(_at_home, session.actor, scripts.all_of)
    yield b"".join([string(one.name) + (b" ACTIVE" if one.active else b"") + b"\r\n" for one in found])
    return ok("Those are all.")


def set_active(session: Session, name: bytes) -> Steps:
    """Make a script the active one, with an empty name none."""
    yield Write(_at_home, session.actor, scripts.activate, _text(name))
    return ok("The script is active." if name else "No script is active.")


def get_script(session: Session, name: bytes) -> Steps:
    """Give the text of a script."""
    found: str = yield Read(_at_home, session.actor, scripts.get, _text(name))
    yield literal(found.encode()) + b"\r\n"
    return ok("That is all.")


def delete_script(session: Session, name: bytes) -> Steps:
    """Delete a script that is not active."""
    yield Write(_at_home, session.actor, scripts.delete, _text(name))
    return ok("The script is deleted.")


def rename_script(session: Session, name: bytes, new_name: bytes) -> Steps:
    """Give a script another name."""
    yield Write(_at_home, session.actor, scripts.rename, _text(name), _text(new_name))
    return ok("The script has another name.")


def _at_home(tx: Tx, actor: Actor, function: Callable[..., T], *args: Any) -> T:
    """Do something in the user's own mailbox; raises `NotPermitted` for who would not get in any more."""
    sign_in.require_admitted(tx, actor)
    mailbox: Mailbox = access.open_mailbox(tx, actor, actor.home_id, Right.WRITE)
    return function(tx, mailbox, *args)


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise errors.InvalidParameter("A name is written in UTF-8.") from None
