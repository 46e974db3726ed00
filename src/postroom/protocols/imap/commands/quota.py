"""GETQUOTA, GETQUOTAROOT, SETQUOTA: how full the mailbox is, in units of 1,024 octets (RFC 9208)."""

from collections.abc import Generator
from typing import Any

from postroom.mailbox import folders, quota
from postroom.model import errors
from postroom.protocols.imap.grammar import answers
from postroom.protocols.imap.grammar.commands import GetQuota, GetQuotaRoot, SetQuota
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Look, Step, Steps


def get_quota(session: Session, command: GetQuota) -> Steps:
    """Give the usage of the one quota root, whose name is empty."""
    if command.root:
        return answers.no(b"There is no such quota root.", b"NONEXISTENT")
    yield (yield from _usage(session))
    return answers.ok(b"GETQUOTA completed.")


def get_quota_root(session: Session, command: GetQuotaRoot) -> Steps:
    """Name the quota root of a folder, and give its usage."""
    folder = yield Look(folders.find, session.own, command.mailbox)
    if folder is None:
        raise errors.FolderNotFound()
    yield b'* QUOTAROOT %b ""\r\n' % answers.mailbox(folder.path)
    yield (yield from _usage(session))
    return answers.ok(b"GETQUOTAROOT completed.")


def set_quota(session: Session, command: SetQuota) -> Steps:
    """Refuse: quotas are set by the administrator."""
    yield from ()
    return answers.no(b"Only an administrator sets quotas.", b"NOPERM")


def _usage(session: Session) -> Generator[Step, Any, bytes]:
    used, allowed = yield Look(quota.usage, session.own)
    return b'* QUOTA "" (STORAGE %d %d)\r\n' % (-(-used // 1024), allowed // 1024)
