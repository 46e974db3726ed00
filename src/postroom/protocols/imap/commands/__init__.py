"""The verbs of IMAP: in which states each may be used, and what it does.

`carry_out` is the life of every command: it is let in or not, done, answered; and before the tagged line the client hears what else
has happened. Removals are not told in the answers to FETCH, STORE and SEARCH, whose numbers they would shift, except where
those speak of UIDs (RFC 3501 §7.4.1).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from postroom.model.errors import PostroomError
from postroom.protocols.imap import updates
from postroom.protocols.imap.commands.append import append
from postroom.protocols.imap.commands.authenticate import authenticate, login
from postroom.protocols.imap.commands.capability import capability
from postroom.protocols.imap.commands.copy import copy, move
from postroom.protocols.imap.commands.create import create, delete, rename
from postroom.protocols.imap.commands.enable import enable
from postroom.protocols.imap.commands.expunge import expunge
from postroom.protocols.imap.commands.fetch import fetch
from postroom.protocols.imap.commands.id import id
from postroom.protocols.imap.commands.idle import idle
from postroom.protocols.imap.commands.list import list, lsub
from postroom.protocols.imap.commands.logout import logout
from postroom.protocols.imap.commands.namespace import namespace
from postroom.protocols.imap.commands.noop import check, noop
from postroom.protocols.imap.commands.quota import get_quota, get_quota_root, set_quota
from postroom.protocols.imap.commands.search import search_messages
from postroom.protocols.imap.commands.select import close, select, unselect
from postroom.protocols.imap.commands.starttls import starttls
from postroom.protocols.imap.commands.status import status
from postroom.protocols.imap.commands.store import store
from postroom.protocols.imap.commands.subscribe import subscribe
from postroom.protocols.imap.errors import answer
from postroom.protocols.imap.grammar import answers, commands
from postroom.protocols.imap.grammar.commands import Command
from postroom.protocols.imap.grammar.scanner import Malformed
from postroom.protocols.imap.session import Session, State
from postroom.protocols.imap.steps import Steps

Handler = Callable[[Session, Any], Steps]

_STRANGER = State.STRANGER
_INSIDE = State.SIGNED_IN | State.SELECTED
_ANY = _STRANGER | _INSIDE
_SELECTED = State.SELECTED


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb's name, the states it may be used in, and what it does."""

    name: str
    states: State
    handler: Handler


VERBS: dict[type[Command], Verb] = {
    commands.Capability: Verb("capability", _ANY, capability),
    commands.Noop: Verb("noop", _ANY, noop),
    commands.Logout: Verb("logout", _ANY, logout),
    commands.Id: Verb("id", _ANY, id),
    commands.StartTls: Verb("starttls", _STRANGER, starttls),
    commands.Authenticate: Verb("authenticate", _STRANGER, authenticate),
    commands.Login: Verb("login", _STRANGER, login),
    commands.Enable: Verb("enable", _INSIDE, enable),
    commands.Select: Verb("select", _INSIDE, select),
    commands.Create: Verb("create", _INSIDE, create),
    commands.Delete: Verb("delete", _INSIDE, delete),
    commands.Rename: Verb("rename", _INSIDE, rename),
    commands.Subscribe: Verb("subscribe", _INSIDE, subscribe),
    commands.List: Verb("list", _INSIDE, list),
    commands.Lsub: Verb("lsub", _INSIDE, lsub),
    commands.Status: Verb("status", _INSIDE, status),
    commands.Append: Verb("append", _INSIDE, append),
    commands.Namespace: Verb("namespace", _INSIDE, namespace),
    commands.Idle: Verb("idle", _INSIDE, idle),
    commands.GetQuota: Verb("getquota", _INSIDE, get_quota),
    commands.GetQuotaRoot: Verb("getquotaroot", _INSIDE, get_quota_root),
    commands.SetQuota: Verb("setquota", _INSIDE, set_quota),
    commands.Check: Verb("check", _SELECTED, check),
    commands.Close: Verb("close", _SELECTED, close),
    commands.Unselect: Verb("unselect", _SELECTED, unselect),
    commands.Expunge: Verb("expunge", _SELECTED, expunge),
    commands.Search: Verb("search", _SELECTED, search_messages),
    commands.Fetch: Verb("fetch", _SELECTED, fetch),
    commands.Store: Verb("store", _SELECTED, store),
    commands.Copy: Verb("copy", _SELECTED, copy),
    commands.Move: Verb("move", _SELECTED, move),
}

_BY_NUMBER = (commands.Fetch, commands.Store, commands.Search)


def carry_out(session: Session, tag: bytes, command: Command) -> Steps:
    """Do a command and answer it, whatever becomes of it; the tagged line is the generator's last step."""
    verb = VERBS[type(command)]
    session.tag = tag
    if not session.state & verb.states:
        yield answers.bad(b"This command is not possible now.").line(tag)
        return answers.SILENT
    try:
        if goodbye := (yield from updates.readmit(session)):
            yield goodbye
            return answers.SILENT
        done = yield from verb.handler(session, command)
    except PostroomError as error:
        done = answer(error)
    except Malformed as error:
        done = answers.Done(error.status, answers.plain(error.text), error.code)
    if done is answers.SILENT:
        return done
    expunges = not isinstance(command, _BY_NUMBER) or command.uid
    news = yield from updates.announce(session, expunges=expunges)
    yield news + done.line(tag)
    return done
