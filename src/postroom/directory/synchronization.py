"""Brings an organization's users and groups to what its outside directory has: changes only, a batch to a transaction.

A new user or group is DISABLED until it is registered. One that is gone from the directory is taken out of mail at once, as by
DeregisterFromWorkMail; its mailbox waits thirty days, and so does the name, for it may come back under its old id. A snapshot is taken for
whole only when the directory has said so, and one that would take too many away at once is refused: most likely somebody has moved a
branch, or a filter is wrong.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import structlog

from postroom.directory import entities, outside, registration
from postroom.ldap import names
from postroom.ldap.directory import Directory
from postroom.model import errors
from postroom.model.directories import OutsideGroup, OutsideUser, Snapshot, digest
from postroom.model.entities import Entity, Kind, Role, State
from postroom.storage.engine import Store, Tx
from postroom.storage.queries import credentials, leases, mailboxes, members, profiles
from postroom.storage.queries import entities as rows
from postroom.storage.queries import outside as outside_rows

BATCH = 100
MEMBER_BATCH = 20
LEASE_SECONDS = 600.0
RETRY_SECONDS = 60.0
KEPT_SECONDS = 30 * 86_400.0
"""How long a user or group that is gone may come back as it was."""
SMALL_CHANGE = 2
"""So many may go at once whatever their share."""
LONGEST_OUTCOME = 500

Change = Callable[[Tx], int]
"""Does something in a transaction, and counts what it did."""

log = structlog.get_logger("postroom.directory")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a synchronization may do: the most users, and the percentage of users and groups that may go."""

    users: int = 100_000
    vanishing_percent: float = 100.0


def due(store: Store, scope: int, directories: outside.Directories, most_users: int) -> int:
    """Synchronize an organization whose time has come; gives the number of changes. What goes wrong is noted, and tried again."""
    if not directories:
        return 0
    with store.transaction(scope, write=False) as tx:
        found = outside.find(tx)
    if found is None:
        return 0
    directory = directories.get(found.directory)
    if directory is None:
        log.error("directory_unknown", scope=scope, directory=found.directory)
        return 0
    pause = min(directory.settings.sync_seconds, RETRY_SECONDS) if found.outcome else directory.settings.sync_seconds
    if found.tried_at is not None and 0 <= store.now() - found.tried_at < pause:  # below 0 the clock was wrong then
        return 0
    try:
        return synchronize(store, scope, directory, Limits(most_users, directory.settings.vanishing_percent))
    except errors.PostroomError:
        return 0


def synchronize(store: Store, scope: int, directory: Directory, limits: Limits) -> int:
    """Read the directory and apply what it says; gives the number of changes. What goes wrong is noted, and comes through."""
    holder = f"{leases.holder()}:{threading.get_ident()}"
    with store.transaction(scope) as tx:
        if not leases.take(tx, "directory", holder, LEASE_SECONDS):
            raise errors.TryLater("The directory is being synchronized already.")

    def keep(tx: Tx) -> None:
        if not leases.keep(tx, "directory", holder, LEASE_SECONDS):
            raise errors.TryLater("It took so long that another has synchronized meanwhile.")

    outcome = "internal error"
    try:
        changed = apply(store, scope, directory.read(), limits, keep)
        outcome = ""
        return changed
    except errors.PostroomError as error:
        outcome = error.text[:LONGEST_OUTCOME]
        log.warning("directory_not_synchronized", scope=scope, directory=directory.name, reason=outcome)
        raise
    finally:
        with store.transaction(scope) as tx:
            outside_rows.note_sync(tx, outcome)
            outside_rows.forget_verifiers(tx, before=tx.now - directory.settings.offline_days * 86_400)
            leases.release(tx, "directory", holder)


def apply(store: Store, scope: int, snapshot: Snapshot, limits: Limits, keep: Callable[[Tx], None] = lambda tx: None) -> int:
    """Bring an organization to what a snapshot says; gives the number of changes. Raises `LimitExceeded`, `Unsupported`.

    `keep` begins each transaction, and raises when it is another's turn.
    """
    with store.transaction(scope, write=False) as tx:
        known = {entity: (known_digest, gone) for entity, known_digest, gone in outside_rows.known(tx)}
    plan = _Plan(snapshot, known)
    plan.require(limits)
    done = 0
    for batch in _batches(plan.changes(), BATCH):
        with store.transaction(scope) as tx:
            keep(tx)
            done += sum(change(tx) for change in batch)
    return done


class _Plan:
    """What has to be done to get from what is known to a snapshot."""

    def __init__(self, snapshot: Snapshot, known: dict[str, tuple[str, float | None]]) -> None:
        self._known = known
        self._users = {user.id: user for user in snapshot.users}
        self._groups = {group.id: group for group in snapshot.groups if group.id not in self._users}
        everybody: list[OutsideUser | OutsideGroup] = [*self._users.values(), *self._groups.values()]
        self._spelled = {one.dn: one.id for one in everybody}
        self._by_dn = {names.key(one.dn): one.id for one in everybody}
        self._by_name = {user.name.casefold(): user.id for user in self._users.values()}
        self._wanted = {one.id: one.name.casefold() for one in everybody}
        self._gone = [entity for entity, (_, gone) in known.items() if gone is None and entity not in self._wanted]

    def require(self, limits: Limits) -> None:
        """Raise `LimitExceeded` for too many users, `Unsupported` for too much that would go."""
        if len(self._users) > limits.users:
            raise errors.LimitExceeded(f"The directory has {len(self._users)} users; an organization may have {limits.users}.")
        present = sum(gone is None for _, gone in self._known.values())
        many = len(self._gone) > SMALL_CHANGE or not self._users
        if many and len(self._gone) * 100 > present * limits.vanishing_percent:
            raise errors.Unsupported(f"{len(self._gone)} of {present} users and groups would go; that is taken for a mistake.")

    def changes(self) -> Iterator[Change]:
        """Yield every change, those first that make room for others."""
        for entity in self._gone:
            yield partial(_leave, entity=entity)
        for entity, (_, gone) in self._known.items():
            if gone is not None and entity not in self._wanted:
                yield partial(_forget, entity=entity, gone_at=gone)
        for user in self._users.values():
            mark = digest(user.dn, user.name, user.display_name, dict(user.profile), user.active, user.changed)
            if self._is_new(user.id, mark):
                yield partial(self._put_user, user=user, mark=mark)
        yield from self._group_changes()

    def _group_changes(self) -> Iterator[Change]:
        """Yield the groups first and their members then, who may be groups again."""
        changed = []
        for group in self._groups.values():
            wanted = self._members(group)
            mark = digest(group.dn, group.name, wanted)
            if self._is_new(group.id, mark):
                changed.append((group, wanted, mark))
                yield partial(self._put_group, group=group)
        for group, wanted, mark in changed:
            for at in range(0, len(wanted), MEMBER_BATCH):
                yield partial(_add_members, group=group.id, wanted=wanted[at : at + MEMBER_BATCH])
            yield partial(self._settle_group, group=group, wanted=wanted, mark=mark)

    def _is_new(self, entity: str, mark: str) -> bool:
        known_digest, gone = self._known.get(entity, ("", None))
        return known_digest != mark or gone is not None

    def _members(self, group: OutsideGroup) -> list[str]:
        """Find the ids of the members of a group that are read at all; each once, and never the group itself."""
        found = {self._spelled.get(dn) or self._by_dn.get(names.key(dn)) for dn in group.members}
        found |= {self._by_name.get(name.casefold()) for name in group.member_names}
        return sorted(one for one in found if one is not None and one != group.id)

    def _put_user(self, tx: Tx, user: OutsideUser, mark: str) -> int:
        entity = self._put(tx, user.id, Kind.USER, user.name, user.display_name)
        if entity is None:
            return 0
        whole = entity.name == user.name
        profiles.insert(tx, user.id, dict(user.profile))
        stored = outside.credential(user)
        if credentials.find(tx, user.id) != stored:
            credentials.insert(tx, user.id, stored)
            outside.set_verifier(tx, user.id, None)
            mailboxes.doubt(tx, user.id)
        outside_rows.put(tx, user.id, dn=user.dn, digest=mark if whole else "")
        return int(whole)

    def _put_group(self, tx: Tx, group: OutsideGroup) -> int:
        """Make a group, of which the members are not known yet, or change its name."""
        if self._put(tx, group.id, Kind.GROUP, group.name, group.name) is None:
            return 0
        outside_rows.put(tx, group.id, dn=group.dn, digest="")
        return 1

    def _settle_group(self, tx: Tx, group: OutsideGroup, wanted: Sequence[str], mark: str) -> int:
        """Take those out of a group who are not in it any more, and note whether it is as it should be."""
        found = rows.find(tx, group.id)
        if found is None or found.kind is not Kind.GROUP:
            return 0
        there = members.all_of(tx, group.id)
        for member in set(there).difference(wanted):
            members.delete(tx, group=group.id, member=member)
        whole = found.name == group.name and set(wanted) <= set(there)
        outside_rows.put(tx, group.id, dn=group.dn, digest=mark if whole else "")
        return 0

    def _put(self, tx: Tx, identifier: str, kind: Kind, name: str, display_name: str) -> Entity | None:
        """Make an entity, or change what the directory says of it; None where its name, or its id, is somebody else's.

        Who is here already keeps the name there is, where the new one is somebody else's: all else that the directory says has to count.
        """
        found = rows.find(tx, identifier)
        ours = found is None or found.kind is kind
        room = ours and self._make_room(tx, identifier, name)
        stays = found is not None and ours and self._known.get(identifier, ("", tx.now))[1] is None
        if not room:
            event = "directory_name_taken" if stays else "directory_entry_left_out"
            log.warning(event, scope=tx.organization, name=name, id=identifier)
        if not (room or stays):
            return None
        if found is None:
            role = Role.USER if kind is Kind.USER else ""
            new = Entity(identifier, kind, name, display_name, State.DISABLED, None, role, False, tx.now, None, None, None, None, None)
            rows.insert(tx, new)
            return new
        name = name if room else found.name
        rows.update(
            tx, identifier, name=name, display_name=display_name, role=found.role, hidden=found.hidden, identity_user=found.identity_user
        )
        return replace(found, name=name, display_name=display_name)

    def _make_room(self, tx: Tx, identifier: str, name: str) -> bool:
        """Say whether an entity may have a name, after taking it from one that is gone or about to be called otherwise."""
        key = name.casefold()
        if key in entities.RESERVED:
            return False
        holder = rows.find_by_name(tx, key)
        if holder is None or holder.id == identifier:
            return True
        entry = outside_rows.find(tx, holder.id)
        if entry is None or (entry.gone_at is None and self._wanted.get(holder.id) in (None, key)):
            return False
        rows.update(
            tx,
            holder.id,
            name=holder.id,
            display_name=holder.display_name,
            role=holder.role,
            hidden=holder.hidden,
            identity_user=holder.identity_user,
        )
        return True


def _leave(tx: Tx, entity: str) -> int:
    """Take somebody out of mail who is gone from the directory."""
    registration.deregister(tx, entity)
    credentials.delete(tx, entity)
    members.delete_all(tx, entity)
    outside_rows.set_gone(tx, entity)
    return 1


def _forget(tx: Tx, entity: str, gone_at: float) -> int:
    """Remove somebody who has been gone for long, unless a resource still needs him as its last delegate."""
    if tx.now - gone_at < KEPT_SECONDS:
        return 0
    found = rows.find(tx, entity)
    try:
        if found is not None:
            entities.delete(tx, entity, found.kind)
    except errors.EntityState:
        return 0
    outside_rows.delete(tx, entity)
    return 1


def _add_members(tx: Tx, group: str, wanted: Sequence[str]) -> int:
    """Put members into a group, those of them that are there."""
    for member in wanted:
        if rows.find(tx, member) is not None:
            members.insert(tx, group=group, member=member)
    return 0


def _batches(changes: Iterable[Change], size: int) -> Iterator[list[Change]]:
    iterator = iter(changes)
    while batch := list(islice(iterator, size)):
        yield batch
