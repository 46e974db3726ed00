"""Passwords of users from an outside directory: asked there, by a bind as the user, on threads of their own.

While the directory is out of reach, a password opens that it has confirmed lately; every other one is neither right nor wrong. What
is kept for that is forgotten when the directory turns down that very password. Somebody who is not there is asked for like anybody
else, under a name that nobody has.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from postroom.directory import outside
from postroom.directory.outside import Directories
from postroom.model import errors
from postroom.policy import passwords
from postroom.storage.engine import Store
from postroom.storage.queries import credentials

LANES: Final = 8
BINDING: Final = ThreadPoolExecutor(LANES, thread_name_prefix="binding")
"""Where directories are asked; whoever waits for a silent one keeps nobody waiting whose password is kept here."""
RENEWED_SECONDS = 6 * 3600.0
"""How old what is known of a password may be before another right one makes it new."""
UNANSWERED = "The directory does not answer; try again later."

log = structlog.get_logger("postroom.policy")


class Unconfirmed(errors.TryLater):
    """The directory does not answer, and this is not the password that it has confirmed last."""


def verify(store: Store, directories: Directories, scope: int, stored: str, password: str) -> bool:
    """Say whether the directory takes a password; raises `TryLater` when it cannot be asked, `Unconfirmed` for one that is likely wrong."""
    user = outside.owner_of(stored)
    with store.transaction(scope, write=False) as tx:
        row = outside.find(tx)
        directory = directories.get(row.directory) if row else None
        dn = outside.dn_of(tx, user)
        kept = outside.verifier(tx, user, directory.settings.offline_days) if directory else None
    if directory is None:
        raise errors.TryLater(UNANSWERED)
    hashed, verified_at = kept or (passwords.NOBODYS, 0.0)
    try:
        right = directory.check(dn or directory.nobody, password, user if dn else "") and dn is not None
    except errors.DirectoryUnavailable as error:
        log.warning("directory_unavailable", directory=directory.name, reason=error.text)
        return _remembered(hashed, password, known=kept is not None)
    same = _compare(hashed, password)
    if right and directory.settings.offline_days and (not same or abs(store.now() - verified_at) > RENEWED_SECONDS):
        _keep(store, scope, stored, passwords.HASHING.submit(passwords.hash, password).result())
    elif not right and same and kept is not None:
        _keep(store, scope, stored, None)
    return right


def _remembered(hashed: str, password: str, *, known: bool) -> bool:
    """Judge by what is kept; as long whether or not there is any."""
    if _compare(hashed, password) and known:
        return True
    raise Unconfirmed(UNANSWERED) if known else errors.TryLater(UNANSWERED)


def _compare(hashed: str, password: str) -> bool:
    return passwords.HASHING.submit(passwords.verify, hashed, password).result()


def _keep(store: Store, scope: int, stored: str, hashed: str | None) -> None:
    """Keep what is known now, unless the directory has said meanwhile that the password was changed or the user disabled."""
    with store.transaction(scope) as tx:
        if credentials.find(tx, outside.owner_of(stored)) == stored:
            outside.set_verifier(tx, outside.owner_of(stored), hashed)
