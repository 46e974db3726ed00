"""The few places where SQLite and PostgreSQL differ, each with its reason.

- parameters: one text with `:name`; psycopg wants `%(name)s`;
- `{bytes}`: the type of raw bytes has two names;
- `{key}`: text that is searched by prefix must sort by its bytes, as SQLite's does, whatever the database's collation;
- `{clustered}`: a SQLite table stores rows in key order only WITHOUT ROWID; PostgreSQL has no such choice;
- `{blob_key}`, `{blob_constraint}`: large rows suit SQLite's rowid tables only, whose key must be one integer;
- words: SQLite has FTS5, PostgreSQL searches text (`queries/words.py`).
"""

import re
from functools import lru_cache

SCHEMA = {
    "sqlite": {"bytes": "BLOB", "key": "TEXT", "clustered": "WITHOUT ROWID", "blob_key": "INTEGER PRIMARY KEY", "blob_constraint": ""},
    "postgresql": {
        "bytes": "BYTEA",
        "key": 'TEXT COLLATE "C"',
        "clustered": "",
        "blob_key": "BIGINT NOT NULL",
        "blob_constraint": ", PRIMARY KEY (organization, id)",
    },
}
_PARAMETER = re.compile(r":([a-z_][a-z0-9_]*)")


def schema(engine: str, text: str) -> str:
    """Fill in the engine's words of a schema file."""
    for name, word in SCHEMA[engine].items():
        text = text.replace("{" + name + "}", word)
    return text


@lru_cache(maxsize=4096)
def postgresql(sql: str) -> str:
    """Turn `:name` into psycopg's `%(name)s`."""
    return _PARAMETER.sub(r"%(\1)s", sql)
