"""Who is in which group, as rows."""

from postroom.storage.engine import Tx
from postroom.storage.queries.entities import HIGHEST


def insert(tx: Tx, *, group: str, member: str) -> None:
    """Put a member into a group, where it may be already."""
    tx.run(
        "INSERT INTO members (organization, collective, member) VALUES (:organization, :group, :member) "
        "ON CONFLICT (organization, collective, member) DO NOTHING",
        group=group,
        member=member,
    )


def delete(tx: Tx, *, group: str, member: str) -> int:
    """Take a member out of a group; counts rows."""
    return tx.run(
        "DELETE FROM members WHERE organization = :organization AND collective = :group AND member = :member",
        group=group,
        member=member,
    )


def delete_all(tx: Tx, entity: str) -> None:
    """Forget an entity, as a member and as a group."""
    tx.run("DELETE FROM members WHERE organization = :organization AND member = :entity", entity=entity)
    tx.run("DELETE FROM members WHERE organization = :organization AND collective = :entity", entity=entity)


def all_of(tx: Tx, group: str) -> list[str]:
    """List the ids of all members of a group."""
    rows = tx.all("SELECT member FROM members WHERE organization = :organization AND collective = :group ORDER BY member", group=group)
    return [row[0] for row in rows]


def page(tx: Tx, group: str, *, after: str, limit: int) -> list[tuple[object, ...]]:
    """List a group's members behind an id: (id, name, kind, state, enabled_at, disabled_at), in order of id."""
    return tx.all(
        "SELECT m.member, e.name, e.kind, e.state, e.enabled_at, e.disabled_at FROM members m "
        "JOIN entities e ON e.organization = m.organization AND e.id = m.member "
        "WHERE m.organization = :organization AND m.collective = :group AND m.member > :after ORDER BY m.member LIMIT :limit",
        group=group,
        after=after,
        limit=limit,
    )


def page_of_groups(tx: Tx, member: str, *, prefix: str, after: tuple[object, ...] | None, limit: int) -> list[tuple[object, ...]]:
    """List the groups an entity is in directly: (folded name, id, name), in order of folded name, which may be filtered by prefix."""
    key, last = after or (prefix, "")
    return tx.all(
        "SELECT e.name_key, e.id, e.name FROM members m JOIN entities e ON e.organization = m.organization AND e.id = m.collective "
        "WHERE m.organization = :organization AND m.member = :member AND (e.name_key, e.id) > (:key, :last) AND e.name_key < :high "
        "ORDER BY e.name_key, e.id LIMIT :limit",
        member=member,
        key=key,
        last=last,
        high=prefix + HIGHEST,
        limit=limit,
    )
