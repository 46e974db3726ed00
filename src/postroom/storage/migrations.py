"""Numbered, forward-only schema files, each run once and in order.

`NNNN_name.sql` is for both engines, `NNNN_name.sqlite.sql` and `NNNN_name.postgres.sql` for one.
"""

from functools import cache
from importlib.resources import files

from postroom.storage import dialect

_OTHER = {"sqlite": ".postgres.sql", "postgresql": ".sqlite.sql"}


@cache
def scripts(engine: str, kind: str) -> tuple[tuple[str, str], ...]:
    """List (name, SQL) of every schema file of a kind, `registry` or `organization`, in order."""
    folder = files("postroom.storage") / "schema" / kind
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    wanted = (name for name in names if not name.endswith(_OTHER[engine]))
    return tuple((f"{kind}/{name}", dialect.schema(engine, (folder / name).read_text())) for name in wanted)
