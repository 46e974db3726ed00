"""The verbs of ManageSieve: when each may be used, what is said with it, and what it does (RFC 5804 §2)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from postroom.model.errors import PostroomError
from postroom.protocols.managesieve.commands.authenticate import authenticate, unauthenticate
from postroom.protocols.managesieve.commands.scripts import (
    check_script,
    delete_script,
    get_script,
    have_space,
    list_scripts,
    put_script,
    rename_script,
    set_active,
)
from postroom.protocols.managesieve.commands.simple import capability, logout, noop, start_tls
from postroom.protocols.managesieve.errors import answer
from postroom.protocols.managesieve.grammar import Malformed, Word, no
from postroom.protocols.managesieve.session import Session, Steps


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: what it does, the kinds of its words and how many of them there are at least, and whether strangers or users may use it."""

    handler: Callable[..., Steps]
    words: tuple[type, ...] = ()
    least: int = -1
    strangers: bool = False
    users: bool = True


VERBS: dict[str, Verb] = {
    "CAPABILITY": Verb(capability, strangers=True),
    "NOOP": Verb(noop, (bytes,), least=0, strangers=True),
    "LOGOUT": Verb(logout, strangers=True),
    "STARTTLS": Verb(start_tls, strangers=True, users=False),
    "AUTHENTICATE": Verb(authenticate, (bytes, bytes), least=1, strangers=True, users=False),
    "UNAUTHENTICATE": Verb(unauthenticate),
    "HAVESPACE": Verb(have_space, (bytes, int)),
    "PUTSCRIPT": Verb(put_script, (bytes, bytes)),
    "CHECKSCRIPT": Verb(check_script, (bytes,)),
    "LISTSCRIPTS": Verb(list_scripts),
    "SETACTIVE": Verb(set_active, (bytes,)),
    "GETSCRIPT": Verb(get_script, (bytes,)),
    "DELETESCRIPT": Verb(delete_script, (bytes,)),
    "RENAMESCRIPT": Verb(rename_script, (bytes, bytes)),
}


def carry_out(session: Session, words: Sequence[Word]) -> Steps:
    """Do a command; gives the end of its answer, whatever becomes of it."""
    verb = VERBS.get(words[0]) if isinstance(words[0], str) else None
    if verb is None:
        raise Malformed
    if not (verb.users if session.actor else verb.strangers):
        return no("Sign in first." if session.actor is None else "This is not possible any more.")
    given = words[1:]
    least = len(verb.words) if verb.least < 0 else verb.least
    if not least <= len(given) <= len(verb.words) or not all(map(isinstance, given, verb.words)):
        raise Malformed
    try:
        return (yield from verb.handler(session, *given))
    except PostroomError as error:
        return answer(error)
