"""Mailbox permissions: who may open another's mailbox, and who may write under another's name.

FULL_ACCESS opens a mailbox to one user. SEND_AS lets a letter bear the owner's name alone, SEND_ON_BEHALF the owner's with the
sender's beside it; both may be given to groups and over groups, and reach everybody in a group and in the groups within it. Neither
includes another: who may open a mailbox may not therefore send for its owner. A grant waits while one of its two is not registered to
mail, and goes when one is deleted.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from postroom.directory import entities
from postroom.directory.mailboxes import OWNERS
from postroom.model import errors
from postroom.model.entities import Entity, Kind
from postroom.storage.engine import Tx
from postroom.storage.queries import mailboxes
from postroom.storage.queries import permissions as queries

MAX_SHARED = 1000
"""Mailboxes of others that are listed for one user; those beyond are opened by name."""


class Permission(StrEnum):
    """What a grantee may do (WorkMail API: PermissionType)."""

    FULL_ACCESS = "FULL_ACCESS"
    SEND_AS = "SEND_AS"
    SEND_ON_BEHALF = "SEND_ON_BEHALF"


SENDING = frozenset({Permission.SEND_AS, Permission.SEND_ON_BEHALF})
NONE: frozenset[Permission] = frozenset()


@dataclass(frozen=True, slots=True)
class Grant:
    """What one grantee may do with one mailbox; the kind is that of the grantee."""

    grantee: str
    permissions: frozenset[Permission]
    kind: Kind = Kind.USER


def decide(grants: Iterable[Grant], user_id: str) -> frozenset[Permission]:
    """Say what a user may do, by the grants to it and to the groups around it: FULL_ACCESS reaches nobody through a group."""
    held: set[Permission] = set()
    for grant in grants:
        held |= grant.permissions if grant.grantee == user_id else grant.permissions & SENDING
    return frozenset(held)


def held(tx: Tx, user_id: str, owner_id: str) -> frozenset[Permission]:
    """Say what a user may do with another's mailbox and name; nothing while the user is not registered to mail."""
    return _decide(queries.reaching(tx, owner=owner_id, user=user_id), user_id)


def opens(tx: Tx, user_id: str, owner_id: str) -> bool:
    """Say whether a user may open another's mailbox, without asking the groups around the user, which could be many."""
    row = queries.find(tx, owner=owner_id, user=user_id)
    return row is not None and Permission.FULL_ACCESS in _decide([row], user_id)


def put(tx: Tx, owner_reference: str, grantee_reference: str, values: Collection[Permission]) -> None:
    """Set what a grantee may do, in place of any grant before; nothing at all is no grant (WorkMail API: PutMailboxPermissions).

    Raises `EntityState` unless both are registered to mail, `InvalidParameter` for what cannot be granted.
    """
    owner, grantee = _pair(tx, owner_reference, grantee_reference)
    for entity in (owner, grantee):
        entities.require_enabled(entity)
    _require_grantable(owner, grantee, values)
    if values:
        queries.insert(tx, owner=owner.id, grantee=grantee.id, rights=[Permission(right.upper()) in values for right in queries.RIGHTS])
    else:
        queries.delete(tx, owner=owner.id, grantee=grantee.id)
    mailboxes.doubt(tx, owner.id)


def delete(tx: Tx, owner_reference: str, grantee_reference: str) -> None:
    """Take away what a grantee may do, which need not be anything (WorkMail API: DeleteMailboxPermissions)."""
    owner, grantee = _pair(tx, owner_reference, grantee_reference)
    if queries.delete(tx, owner=owner.id, grantee=grantee.id):
        mailboxes.doubt(tx, owner.id)


def load(tx: Tx, owner_reference: str, *, after: str, limit: int) -> list[Grant]:
    """List the grants of an owner behind a grantee's id, in order of id (WorkMail API: ListMailboxPermissions)."""
    owner = entities.get(tx, owner_reference)
    rows = queries.page(tx, owner.id, after=after, limit=limit)
    return [Grant(grantee, _permissions(rights), Kind(kind)) for grantee, kind, *rights in rows]


def shared_with(tx: Tx, user_id: str) -> list[tuple[str, str]]:
    """List the (id, key of the primary address) of those whose mailboxes a user may open, a thousand at the most."""
    return queries.reachable_mailboxes(tx, user_id, limit=MAX_SHARED)


def _pair(tx: Tx, owner_reference: str, grantee_reference: str) -> tuple[Entity, Entity]:
    return entities.get(tx, owner_reference), entities.get(tx, grantee_reference)


def _require_grantable(owner: Entity, grantee: Entity, values: Collection[Permission]) -> None:
    if owner.id == grantee.id:
        raise errors.InvalidParameter(f"{owner.name} needs no permission for what is its own.")
    if Permission.FULL_ACCESS not in values:
        return
    if grantee.kind is not Kind.USER:
        raise errors.InvalidParameter("FULL_ACCESS can be granted to a user only.")
    if owner.kind not in OWNERS or not owner.has_mailbox:
        raise errors.InvalidParameter(f"{owner.name} has no mailbox to which FULL_ACCESS could be granted.")


def _decide(rows: Iterable[queries.Row], user_id: str) -> frozenset[Permission]:
    return decide([Grant(grantee, _permissions(rights)) for grantee, *rights in rows], user_id)


def _permissions(rights: Iterable[int]) -> frozenset[Permission]:
    return frozenset(Permission(right.upper()) for right, granted in zip(queries.RIGHTS, rights, strict=True) if granted)
