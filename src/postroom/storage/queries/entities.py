"""Users, groups and resources as rows; one table, since they share one name space."""

from dataclasses import dataclass

from postroom.model import errors
from postroom.model.entities import Entity, Kind, State
from postroom.storage.engine import Tx
from postroom.storage.queries import counters

Row = tuple[object, ...]

_COLUMNS = (
    "e.id, e.kind, e.name, e.display_name, e.state, e.email, e.role, e.hidden, e.created_at, e.enabled_at, e.disabled_at, "
    "e.provisioned_at, e.deprovisioned_at, e.identity_user"
)
_SELECT = f"SELECT {_COLUMNS} FROM entities e WHERE e.organization = :organization"
_SUMMARY = "e.id, e.email, e.name, e.display_name, e.state, e.role, e.enabled_at, e.disabled_at, e.identity_user"

_BY_ID = ("e.kind = :kind AND e.id > :after", "e.id")
_BY_KIND = ("e.kind <= :kind AND (e.kind, e.id) > (:kind, :after)", "e.kind, e.id")
"""Two ways through one kind: users are most of the table, and neighbours in it; others are found by the index of kinds alone."""
USERS = "users"
"""The counter of users."""
HIGHEST = "\U0010ffff"
"""Sorts behind everything that may follow a prefix."""
DISPLAY_LETTERS = 160
"""So much of a display name orders and filters lists; whatever its letters, the token of a page has room for it."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """The one condition of a list: an indexed column begins with a text."""

    column: str
    text: str


FILTERS = frozenset({"name_key", "display_key", "email_key", "identity_user", "state"})


def entity(row: tuple[object, ...]) -> Entity:
    """Make the value of a row of `_COLUMNS`."""
    identifier, kind, name, display_name, state, email, role, hidden, *rest = row
    return Entity(identifier, Kind(kind), name, display_name, State(state), email, role, bool(hidden), *rest)  # type: ignore[arg-type]


def find(tx: Tx, identifier: str) -> Entity | None:
    """Find by id."""
    row = tx.one(f"{_SELECT} AND e.id = :id", id=identifier)
    return entity(row) if row else None


def get(tx: Tx, identifier: str) -> Entity:
    """Get by id; raises `EntityNotFound`."""
    found = find(tx, identifier)
    if found is None:
        raise errors.EntityNotFound(f"There is no user, group or resource {identifier}.")
    return found


def find_by_name(tx: Tx, name_key: str) -> Entity | None:
    """Find by the folded name."""
    row = tx.one(f"{_SELECT} AND e.name_key = :name_key", name_key=name_key)
    return entity(row) if row else None


def find_by_address(tx: Tx, address_key: str) -> Entity | None:
    """Find by the key of a primary address or an alias."""
    row = tx.one(
        f"{_SELECT} AND e.id = (SELECT a.entity FROM addresses a WHERE a.organization = :organization AND a.address = :address)",
        address=address_key,
    )
    return entity(row) if row else None


def name_exists(tx: Tx, name_key: str) -> bool:
    """Say whether any kind of entity has this folded name."""
    return tx.one("SELECT 1 FROM entities WHERE organization = :organization AND name_key = :name_key", name_key=name_key) is not None


def count_users(tx: Tx) -> int:
    """Say how many users there are, without counting them."""
    return counters.find(tx, USERS) or 0


def insert(tx: Tx, new: Entity) -> None:
    """Add a disabled entity."""
    tx.run(
        "INSERT INTO entities (organization, id, kind, name, name_key, display_name, display_key, state, role, hidden, created_at, "
        "identity_user) VALUES (:organization, :id, :kind, :name, :name_key, :display_name, :display_key, :state, :role, :hidden, "
        ":created_at, :identity_user)",
        id=new.id,
        kind=new.kind.value,
        name=new.name,
        name_key=new.name.casefold(),
        display_name=new.display_name,
        display_key=new.display_name.casefold()[:DISPLAY_LETTERS],
        state=new.state.value,
        role=str(new.role),
        hidden=int(new.hidden),
        created_at=new.created_at,
        identity_user=new.identity_user,
    )
    if new.kind is Kind.USER:
        counters.add(tx, USERS, 1)


def update(tx: Tx, identifier: str, *, name: str, display_name: str, role: str, hidden: bool, identity_user: str | None) -> None:
    """Replace what an administrator may change of an entity at any time."""
    tx.run(
        "UPDATE entities SET name = :name, name_key = :name_key, display_name = :display_name, display_key = :display_key, "
        "role = :role, hidden = :hidden, identity_user = :identity_user WHERE organization = :organization AND id = :id",
        id=identifier,
        name=name,
        name_key=name.casefold(),
        display_name=display_name,
        display_key=display_name.casefold()[:DISPLAY_LETTERS],
        role=str(role),
        hidden=int(hidden),
        identity_user=identity_user,
    )


def update_email(tx: Tx, identifier: str, *, email: str, email_key: str) -> None:
    """Set the primary address."""
    tx.run(
        "UPDATE entities SET email = :email, email_key = :email_key WHERE organization = :organization AND id = :id",
        id=identifier,
        email=email,
        email_key=email_key,
    )


def enable(tx: Tx, identifier: str, *, email: str, email_key: str, provisioned_at: float | None) -> None:
    """Set the state ENABLED with a primary address; `provisioned_at` is None for what gets no mailbox."""
    tx.run(
        "UPDATE entities SET state = 'ENABLED', email = :email, email_key = :email_key, enabled_at = :now, "
        "provisioned_at = :provisioned_at WHERE organization = :organization AND id = :id",
        id=identifier,
        email=email,
        email_key=email_key,
        now=tx.now,
        provisioned_at=provisioned_at,
    )


def disable(tx: Tx, identifier: str, *, deprovisioned_at: float | None) -> None:
    """Set the state DISABLED, without an address."""
    tx.run(
        "UPDATE entities SET state = 'DISABLED', email = NULL, email_key = NULL, disabled_at = :now, "
        "deprovisioned_at = :deprovisioned_at WHERE organization = :organization AND id = :id",
        id=identifier,
        now=tx.now,
        deprovisioned_at=deprovisioned_at,
    )


def delete(tx: Tx, identifier: str) -> None:
    """Remove an entity's own row; what refers to it goes by the other queries."""
    gone = tx.one("DELETE FROM entities WHERE organization = :organization AND id = :id RETURNING kind", id=identifier)
    if gone == (Kind.USER.value,):
        counters.add(tx, USERS, -1)


def page(tx: Tx, kind: Kind, *, where: Prefix | None, after: tuple[object, ...] | None, limit: int) -> list[Row]:
    """List one kind: (sort key, id, email, name, display_name, state, role, enabled_at, disabled_at, identity_user).

    `after` is the (sort key, id) of the last row seen. Lists without a condition go by id, others by their column.
    """
    return _page(tx, kind, _SUMMARY, "", where, after, limit)


def page_of_resources(tx: Tx, *, where: Prefix | None, after: tuple[object, ...] | None, limit: int) -> list[Row]:
    """List resources: the columns of `page`, then (type, description)."""
    join = " JOIN resources r ON r.organization = e.organization AND r.entity = e.id"
    return _page(tx, Kind.RESOURCE, f"{_SUMMARY}, r.type, r.description", join, where, after, limit)


def _page(tx: Tx, kind: Kind, columns: str, join: str, where: Prefix | None, after: tuple[object, ...] | None, limit: int) -> list[Row]:
    if where is None:
        behind, order = _BY_ID if kind is Kind.USER else _BY_KIND
        return tx.all(
            f"SELECT e.id, {columns} FROM entities e{join} WHERE e.organization = :organization AND {behind} ORDER BY {order} LIMIT :limit",
            kind=kind.value,
            after=after[1] if after else "",
            limit=limit,
        )
    if where.column not in FILTERS:
        raise ValueError(f"no index for {where.column}")
    text = where.text[:DISPLAY_LETTERS] if where.column == "display_key" else where.text
    key, last = after or (text, "")
    return tx.all(
        f"SELECT e.{where.column}, {columns} FROM entities e{join} WHERE e.organization = :organization AND e.kind = :kind "
        f"AND (e.{where.column}, e.id) > (:key, :last) AND e.{where.column} < :high ORDER BY e.{where.column}, e.id LIMIT :limit",
        kind=kind.value,
        key=key,
        last=last,
        high=text + HIGHEST,
        limit=limit,
    )


def reachable(tx: Tx, group: str) -> list[Entity]:
    """List the enabled users and resources in a group and in the enabled groups within it, each once, in order of id.

    UNION keeps a loop of groups from being followed twice.
    """
    rows = tx.all(
        "WITH RECURSIVE reach (id) AS (SELECT CAST(:group AS TEXT) UNION SELECT m.member FROM reach "
        "JOIN members m ON m.organization = :organization AND m.collective = reach.id "
        "JOIN entities x ON x.organization = :organization AND x.id = m.member AND x.state = 'ENABLED') "
        # CROSS JOIN keeps SQLite from walking all entities in the order asked for
        f"SELECT {_COLUMNS} FROM reach CROSS JOIN entities e WHERE e.organization = :organization AND e.id = reach.id "
        "AND e.kind <> 'GROUP' ORDER BY e.id",
        group=group,
    )
    return [entity(row) for row in rows]
