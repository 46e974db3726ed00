"""Who may do what with whose mailbox and under whose name, as rows; a right is a column, 0 or 1."""

from collections.abc import Sequence
from typing import Any

from postroom.storage.engine import Tx

Row = tuple[Any, ...]
RIGHTS = ("full_access", "send_as", "send_on_behalf")
"""The columns of rights, in the order in which every query gives them."""

_RIGHTS = ", ".join(f"p.{right}" for right in RIGHTS)
_CIRCLE = (
    "WITH RECURSIVE circle (id) AS (SELECT a.id FROM entities a WHERE a.organization = :organization AND a.id = :user "
    "AND a.state = 'ENABLED' UNION SELECT m.collective FROM circle "
    "JOIN members m ON m.organization = :organization AND m.member = circle.id "
    "JOIN entities g ON g.organization = :organization AND g.id = m.collective AND g.state = 'ENABLED') "
)
"""A registered user and the registered groups around it; UNION keeps a loop of groups from being followed twice."""


def insert(tx: Tx, *, owner: str, grantee: str, rights: Sequence[bool]) -> None:
    """Set the rights of a grantee over an owner, in place of any before."""
    values = dict(zip(RIGHTS, map(int, rights), strict=True))
    tx.run(
        f"INSERT INTO mailbox_permissions (organization, owner, grantee, {', '.join(RIGHTS)}) "
        f"VALUES (:organization, :owner, :grantee, {', '.join(f':{right}' for right in RIGHTS)}) "
        f"ON CONFLICT (organization, owner, grantee) DO UPDATE SET {', '.join(f'{right} = excluded.{right}' for right in RIGHTS)}",
        owner=owner,
        grantee=grantee,
        **values,
    )


def delete(tx: Tx, *, owner: str, grantee: str) -> int:
    """Remove the rights of a grantee over an owner; counts rows."""
    return tx.run(
        "DELETE FROM mailbox_permissions WHERE organization = :organization AND owner = :owner AND grantee = :grantee",
        owner=owner,
        grantee=grantee,
    )


def delete_all(tx: Tx, entity: str) -> None:
    """Forget an entity, as an owner and as a grantee."""
    tx.run("DELETE FROM mailbox_permissions WHERE organization = :organization AND grantee = :entity", entity=entity)
    tx.run("DELETE FROM mailbox_permissions WHERE organization = :organization AND owner = :entity", entity=entity)


def page(tx: Tx, owner: str, *, after: str, limit: int) -> list[Row]:
    """List who has rights over an owner behind an id: (grantee, kind, *rights), in order of id."""
    return tx.all(
        f"SELECT p.grantee, e.kind, {_RIGHTS} FROM mailbox_permissions p "
        "JOIN entities e ON e.organization = p.organization AND e.id = p.grantee "
        "WHERE p.organization = :organization AND p.owner = :owner AND p.grantee > :after ORDER BY p.grantee LIMIT :limit",
        owner=owner,
        after=after,
        limit=limit,
    )


def find(tx: Tx, *, owner: str, user: str) -> Row | None:
    """Find the grant of an owner to a registered user itself: (grantee, *rights)."""
    return tx.one(
        f"SELECT p.grantee, {_RIGHTS} FROM mailbox_permissions p "
        "JOIN entities e ON e.organization = p.organization AND e.id = p.grantee AND e.state = 'ENABLED' "
        "WHERE p.organization = :organization AND p.owner = :owner AND p.grantee = :user",
        owner=owner,
        user=user,
    )


def reaching(tx: Tx, *, owner: str, user: str) -> list[Row]:
    """List the grants of an owner that reach a registered user, directly or through registered groups: (grantee, *rights)."""
    return tx.all(
        # CROSS JOIN keeps SQLite from walking the grants before it knows the circle
        f"{_CIRCLE}SELECT p.grantee, {_RIGHTS} FROM circle CROSS JOIN mailbox_permissions p "
        "WHERE p.organization = :organization AND p.owner = :owner AND p.grantee = circle.id",
        owner=owner,
        user=user,
    )


def reachable_mailboxes(tx: Tx, user: str, *, limit: int) -> list[tuple[str, str]]:
    """List the (owner, key of its primary address) of mailboxes that a registered user may open, in order of address."""
    return tx.all(
        "SELECT p.owner, o.email_key FROM mailbox_permissions p "
        "JOIN entities u ON u.organization = p.organization AND u.id = p.grantee AND u.state = 'ENABLED' "
        "JOIN entities o ON o.organization = p.organization AND o.id = p.owner AND o.state = 'ENABLED' "
        "JOIN mailboxes b ON b.organization = p.organization AND b.owner = p.owner AND b.parked_at IS NULL "
        "WHERE p.organization = :organization AND p.grantee = :user AND p.full_access = 1 ORDER BY o.email_key LIMIT :limit",
        user=user,
        limit=limit,
    )
