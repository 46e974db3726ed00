"""Tags of an organization as rows."""

from collections.abc import Iterable, Mapping

from postroom.storage.engine import Tx


def page(tx: Tx) -> list[tuple[str, str]]:
    """List all (name, value), in order of name."""
    return tx.all("SELECT name, value FROM tags WHERE organization = :organization ORDER BY name")


def insert(tx: Tx, tags: Mapping[str, str]) -> None:
    """Put tags, replacing those of the same name."""
    for name, value in tags.items():
        tx.run(
            "INSERT INTO tags (organization, name, value) VALUES (:organization, :name, :value) "
            "ON CONFLICT (organization, name) DO UPDATE SET value = excluded.value",
            name=name,
            value=value,
        )


def delete(tx: Tx, names: Iterable[str]) -> None:
    """Remove tags by name."""
    for name in names:
        tx.run("DELETE FROM tags WHERE organization = :organization AND name = :name", name=name)
