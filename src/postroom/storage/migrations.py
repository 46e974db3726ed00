"""Numbered, forward-only schema files, each run once and in order.

`NNNN_name.sql` is for both engines, `NNNN_name.sqlite.sql` and `NNNN_name.postgres.sql` for one.
"""

from collections.abc import Collection
from functools import cache
from importlib.resources import files

from postroom.storage import dialect

_OTHER = {"sqlite": ".postgres.sql", "postgresql": ".sqlite.sql"}


class NewerSchema(Exception):
    """The data was last served by a newer version, whose tables this one does not know."""


def missing(engine: str, kind: str, done: Collection[str]) -> list[tuple[str, str]]:
    """List (name, SQL) of the files still to be run; raises `NewerSchema` where others have been."""
    known = scripts(engine, kind)
    strangers = {name for name in done if name.startswith(f"{kind}/")} - {name for name, _ in known}
    if strangers:
        raise NewerSchema(f"It was last served by a newer version of Postroom (which made {min(strangers)}).")
    return [(name, script) for name, script in known if name not in done]


@cache
def scripts(engine: str, kind: str) -> tuple[tuple[str, str], ...]:
    """List (name, SQL) of every schema file of a kind, `registry` or `organization`, in order."""
    folder = files("postroom.storage") / "schema" / kind
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    wanted = (name for name in names if not name.endswith(_OTHER[engine]))
    return tuple((f"{kind}/{name}", dialect.schema(engine, (folder / name).read_text())) for name in wanted)
