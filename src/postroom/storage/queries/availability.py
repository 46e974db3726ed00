"""Availability configurations as rows; passwords come and go sealed."""

from dataclasses import dataclass

from postroom.storage.engine import Tx

EWS = "EWS"
LAMBDA = "LAMBDA"

_COLUMNS = "domain, provider, target, username, password, created_at, modified_at"


@dataclass(frozen=True, slots=True)
class Row:
    """A configuration; `target` is an endpoint or an ARN, `password` is sealed, both of them empty for functions."""

    domain: str
    provider: str
    target: str
    username: str
    password: bytes
    created_at: float
    modified_at: float


def _row(values: tuple[object, ...]) -> Row:
    domain, provider, target, username, password, created_at, modified_at = values
    return Row(domain, provider, target, username, bytes(password), created_at, modified_at)  # type: ignore[arg-type, call-overload]


def find(tx: Tx, domain: str) -> Row | None:
    """Find by the A-label form."""
    found = tx.one(
        f"SELECT {_COLUMNS} FROM availability_configurations WHERE organization = :organization AND domain = :domain", domain=domain
    )
    return _row(found) if found else None


def insert(tx: Tx, row: Row) -> None:
    """Put a configuration, replacing the one there."""
    tx.run(
        f"INSERT INTO availability_configurations (organization, {_COLUMNS}) VALUES (:organization, :domain, :provider, :target, "
        ":username, :password, :created_at, :modified_at) ON CONFLICT (organization, domain) DO UPDATE SET provider = :provider, "
        "target = :target, username = :username, password = :password, modified_at = :modified_at",
        domain=row.domain,
        provider=row.provider,
        target=row.target,
        username=row.username,
        password=row.password,
        created_at=row.created_at,
        modified_at=row.modified_at,
    )


def delete(tx: Tx, domain: str) -> None:
    """Remove a configuration."""
    tx.run("DELETE FROM availability_configurations WHERE organization = :organization AND domain = :domain", domain=domain)


def count(tx: Tx) -> int:
    """Count the configurations."""
    row = tx.one("SELECT COUNT(*) FROM availability_configurations WHERE organization = :organization")
    return int(row[0]) if row else 0


def page(tx: Tx, *, after: str, limit: int) -> list[Row]:
    """List configurations of domains behind one, in order of domain."""
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM availability_configurations WHERE organization = :organization AND domain > :after "
        "ORDER BY domain LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [_row(row) for row in rows]
