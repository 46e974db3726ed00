"""GETQUOTA, GETQUOTAROOT, SETQUOTA: how full the mailbox is, in units of 1,024 octets (RFC 9208)."""

from collections.abc import Generator
from typing import Any

from postroom.mailbox import quota
from postroom.mailbox.folders import Folder
from postroom.protocols.imap import places
from postroom.protocols.imap.grammar import answers, names
from postroom.protocols.imap.grammar.commands import GetQuota, GetQuotaRoot, SetQuota
from postroom.protocols.imap.places import Origin, Place
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Look, Step, Steps
from postroom.storage.engine import Tx


def get_quota(session: Session, command: GetQuota) -> Steps:
    """Give the usage of a quota root: its name is empty at home, and that of the mailbox elsewhere."""
    place = yield Look(places.find, session.origin, names.decode(command.root))
    if place.root != names.decode(command.root):
        return answers.no(b"There is no such quota root.", b"NONEXISTENT")
    yield (yield from _usage(place))
    return answers.ok(b"GETQUOTA completed.")


def get_quota_root(session: Session, command: GetQuotaRoot) -> Steps:
    """Name the quota root of a folder, and give its usage."""
    place, folder = yield Look(_look, session.origin, command.mailbox)
    yield b"* QUOTAROOT %b %b\r\n" % (answers.mailbox(place.name(folder)), answers.mailbox(place.root))
    yield (yield from _usage(place))
    return answers.ok(b"GETQUOTAROOT completed.")


def _look(tx: Tx, origin: Origin, name: str) -> tuple[Place, Folder]:
    place = places.find(tx, origin, name)
    return place, place.folder(tx)


def set_quota(session: Session, command: SetQuota) -> Steps:
    """Refuse: quotas are set by the administrator."""
    yield from ()
    return answers.no(b"Only an administrator sets quotas.", b"NOPERM")


def _usage(place: Place) -> Generator[Step, Any, bytes]:
    used, allowed = yield Look(quota.usage, place.mailbox)
    return b"* QUOTA %b (STORAGE %d %d)\r\n" % (answers.mailbox(place.root), -(-used // 1024), allowed // 1024)
