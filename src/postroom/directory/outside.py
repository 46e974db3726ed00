"""Users and groups of others: an organization that is made with an outside directory has them from there, and changes nothing of it.

What stands in the place of a password hash says so (`credential`); it moves when the directory says that the password was changed, so that
sessions end as they do after ResetPassword. Of a password that the directory has confirmed a hash is kept, sealed, for the time in which it
is out of reach.
"""

from collections.abc import Mapping

from postroom.directory import entities
from postroom.ldap.directory import Directory
from postroom.model import errors
from postroom.model.directories import OutsideUser
from postroom.storage.engine import Tx
from postroom.storage.queries import outside
from postroom.storage.queries.outside import DirectoryRow

LDAP, AD_CONNECTOR = "LDAP", "ADConnector"
TYPES = {"ldap": LDAP, "active-directory": AD_CONNECTOR}
"""DirectoryType of an organization, for each type of directory (WorkMail API: DescribeOrganization)."""
TOPIC = "directories"

MARK = "outside$"
CLOSED = f"{MARK}closed"
"""In place of the password hash of a user whom the directory has disabled."""
NOBODYS = f"{MARK}nobody"
"""In place of the hash of a user who is not there."""

Directories = Mapping[str, Directory]
"""The directories that this server knows, by their ids."""


def attach(tx: Tx, directory: str) -> None:
    """Have an organization get its users and groups from a directory, from now on."""
    outside.insert_directory(tx, directory)
    tx.changes.wake(TOPIC)


def find(tx: Tx) -> DirectoryRow | None:
    """Find the directory of an organization; None for one with its own users."""
    return outside.find_directory(tx)


def require_own(tx: Tx) -> None:
    """Raise `Unsupported` where users and groups come from an outside directory, which is only read."""
    found = outside.find_directory(tx)
    if found is not None:
        raise errors.Unsupported(f"Users and groups come from the directory {found.directory}, which is read-only here; change them there.")


def require_present(tx: Tx, reference: str) -> None:
    """Raise `EntityState` for a user or group that the directory no longer has."""
    found = outside.find(tx, entities.get(tx, reference).id)
    if found is not None and found.gone_at is not None:
        raise errors.EntityState(f"{reference} is no longer in the directory.")


def credential(user: OutsideUser) -> str:
    """Give what stands in the place of a user's password hash."""
    return f"{MARK}{user.id}${user.changed}" if user.active else CLOSED


def is_outside(stored: str) -> bool:
    """Say whether a directory has to be asked about a password."""
    return stored.startswith(MARK)


def owner_of(stored: str) -> str:
    """Give the id of the user in a credential."""
    return stored.removeprefix(MARK).partition("$")[0]


def dn_of(tx: Tx, user: str) -> str | None:
    """Find where a user stands in the directory."""
    found = outside.find(tx, user)
    return found.dn if found is not None and found.gone_at is None else None


def verifier(tx: Tx, user: str, days: float) -> tuple[str, float] | None:
    """Find the hash of the password that the directory has confirmed within these days, and when; none from a time long after now."""
    found = outside.find(tx, user)
    if found is None or found.verifier is None or found.verified_at is None or abs(tx.now - found.verified_at) > days * 86_400:
        return None
    return tx.blobs.unseal(found.verifier, _purpose(user)).decode(), found.verified_at


def set_verifier(tx: Tx, user: str, hashed: str | None) -> None:
    """Remember the hash of a password that the directory has just confirmed, or forget what is remembered."""
    outside.set_verifier(tx, user, None if hashed is None else tx.blobs.seal(hashed.encode(), _purpose(user)))


def _purpose(user: str) -> str:
    return f"outside password {user}"
