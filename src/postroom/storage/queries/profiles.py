"""What is known of users beyond their names, as rows."""

from postroom.storage.engine import Tx

FIELDS = (
    "first_name",
    "last_name",
    "initials",
    "telephone",
    "street",
    "job_title",
    "city",
    "company",
    "zip_code",
    "department",
    "country",
    "office",
)
_NAMES = ", ".join(FIELDS)


def find(tx: Tx, entity: str) -> dict[str, str] | None:
    """Find the fields of one user, empty ones as empty texts."""
    row = tx.one(f"SELECT {_NAMES} FROM profiles WHERE organization = :organization AND entity = :entity", entity=entity)
    return dict(zip(FIELDS, row, strict=True)) if row else None


def insert(tx: Tx, entity: str, fields: dict[str, str]) -> None:
    """Put all fields of one user, replacing those there."""
    values = {name: fields.get(name, "") for name in FIELDS}
    tx.run(
        f"INSERT INTO profiles (organization, entity, {_NAMES}) VALUES (:organization, :entity, "
        f"{', '.join(':' + name for name in FIELDS)}) ON CONFLICT (organization, entity) DO UPDATE SET "
        f"{', '.join(f'{name} = excluded.{name}' for name in FIELDS)}",
        entity=entity,
        **values,
    )


def delete(tx: Tx, entity: str) -> None:
    """Remove the fields of one user."""
    tx.run("DELETE FROM profiles WHERE organization = :organization AND entity = :entity", entity=entity)
