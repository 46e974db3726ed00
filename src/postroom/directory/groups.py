"""Groups: addresses that stand for their members, who may be groups again."""

from postroom.directory import outside
from postroom.directory.entities import MEMBERS, get, require_new_name
from postroom.directory.entities import delete as delete_entity
from postroom.model import errors, ids
from postroom.model.entities import Entity, Kind, State
from postroom.storage.engine import Tx
from postroom.storage.queries import entities, members

KINDS = frozenset({Kind.GROUP})


def create(tx: Tx, *, name: str, hidden: bool = False) -> Entity:
    """Add a group, not yet registered to mail; raises `NameTaken`, `NameReserved` (WorkMail API: CreateGroup)."""
    outside.require_own(tx)
    require_new_name(tx, name)
    group = Entity(ids.new_user_id(), Kind.GROUP, name, name, State.DISABLED, None, "", hidden, tx.now, None, None, None, None, None)
    entities.insert(tx, group)
    return group


def update(tx: Tx, reference: str, *, hidden: bool | None = None) -> None:
    """Change what is given (WorkMail API: UpdateGroup)."""
    group = get(tx, reference, KINDS)
    if hidden is not None:
        entities.update(tx, group.id, name=group.name, display_name=group.display_name, role=group.role, hidden=hidden, identity_user=None)


def delete(tx: Tx, reference: str) -> None:
    """Remove a disabled group; a missing one is gone already (WorkMail API: DeleteGroup)."""
    outside.require_own(tx)
    delete_entity(tx, reference, Kind.GROUP)


def add_member(tx: Tx, group_reference: str, member_reference: str) -> None:
    """Put a user or group into a group, where it may be already (WorkMail API: AssociateMemberToGroup).

    Groups may form a loop, as they may in a directory: `expand` follows each group once.
    """
    outside.require_own(tx)
    group = get(tx, group_reference, KINDS)
    member = get(tx, member_reference)
    if member.kind not in MEMBERS:
        raise errors.InvalidParameter("A resource cannot be a member of a group.")
    if member.id == group.id:
        raise errors.InvalidParameter("A group cannot be its own member.")
    members.insert(tx, group=group.id, member=member.id)


def remove_member(tx: Tx, group_reference: str, member_reference: str) -> None:
    """Take a member out of a group, where it need not be (WorkMail API: DisassociateMemberFromGroup)."""
    outside.require_own(tx)
    group = get(tx, group_reference, KINDS)
    members.delete(tx, group=group.id, member=get(tx, member_reference, MEMBERS).id)


def may_be_left(tx: Tx, group: Entity) -> bool:
    """Say whether members may leave a group themselves: not one that is hidden from them, nor one of an outside directory."""
    return group.enabled and not group.hidden and outside.find(tx) is None


def leave(tx: Tx, group: Entity, member: str) -> None:
    """Take a member out of a group that `may_be_left`, at the member's own wish; who is not in it any more is out."""
    members.delete(tx, group=group.id, member=member)


def expand(tx: Tx, group_id: str) -> list[Entity]:
    """List those with a mailbox in a group and in the enabled groups within it, each once."""
    return [entity for entity in entities.reachable(tx, group_id) if entity.has_mailbox]
