"""Write docs/configuration.md and examples/postroom.toml from the settings' own docstrings (`--check` only compares).

The text under a field is its documentation; there is no other copy to go stale.
"""

import ast
import enum
import inspect
import json
import re
import sys
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from postroom.server.configuration import struct_of_entries
from postroom.server.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "configuration.md"
EXAMPLE = ROOT / "examples" / "postroom.toml"

PREFACE = """\
# Configuration

Made by `tools/document_settings.py` from `src/postroom/server/settings.py` and the settings of each room.

`postroom serve --config FILE` reads one TOML file, `/etc/postroom/postroom.toml` by default. Every setting has a default; an empty
file is a configuration. An unknown table or key is refused by name, with the nearest known one. `postroom check --config FILE` tells
whether the machine fits what the file says. [examples/postroom.toml](../examples/postroom.toml) holds every setting with its default.

Addresses to listen on are `host:port`, `[v6]:port` or `*:port` for every interface; port 0 takes any free port. An empty list closes
that door. Relative paths start at the folder of the configuration file.

`SIGHUP` reads the certificates of `[tls]` again; every other change needs a restart. `SIGTERM` drains and ends within five seconds.
"""
EXAMPLE_PREFACE = "# Every setting of Postroom with its default. Made by tools/document_settings.py; docs/configuration.md says more.\n"


def docstrings(struct: type) -> dict[str, str]:
    """Give the text under each field of a struct and its bases."""
    found: dict[str, str] = {}
    for kind in reversed(struct.__mro__):
        if not issubclass(kind, msgspec.Struct) or kind is msgspec.Struct:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                assert isinstance(field.target, ast.Name)
                found[field.target.id] = inspect.cleandoc(str(text.value.value)).replace("\n", " ")
    return found


def tables(struct: type[msgspec.Struct] = Settings, name: str = "") -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """Yield every table with its dotted name, the top first."""
    yield name, struct
    for field in msgspec.structs.fields(struct):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from tables(field.type, f"{name}.{field.name}" if name else field.name)
        if entry := struct_of_entries(field.type):
            yield from tables(entry, f"{name}.{field.name}.NAME" if name else f"{field.name}.NAME")


def values(struct: type[msgspec.Struct]) -> Iterator[tuple[str, Any, str, str]]:
    """Yield (name, default, type, text) of every field that is not a table; raises when one has no text."""
    texts = docstrings(struct)
    for field in msgspec.structs.fields(struct):
        if (isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)) or struct_of_entries(field.type):
            continue
        if field.name not in texts:
            raise SystemExit(f"{struct.__module__}.{struct.__name__}.{field.name} has no text under it")
        yield field.name, default_of(field), spelled(field.type), texts[field.name]


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """Give the default of a field; None for one that has to be said."""
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return None if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def spelled(kind: Any) -> str:
    """Name a type as a reader of TOML does."""
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if kind in names:
        return names[kind]
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(f"`{value}`" for value in typing.get_args(kind))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return " or ".join(f"`{member.value}`" for member in kind)
    if typing.get_origin(kind) in (tuple, list):
        return f"list of {spelled(typing.get_args(kind)[0])}s"
    if typing.get_origin(kind) is dict:
        return f"table of {spelled(typing.get_args(kind)[1])}s by name"
    return " or ".join(spelled(one) for one in typing.get_args(kind) if one is not type(None)) or str(kind)


def toml(value: Any) -> str:
    """Spell a value in TOML."""
    return "[" + ", ".join(toml(one) for one in value) + "]" if isinstance(value, tuple | list) else json.dumps(value)


def page() -> str:
    """Write the reference page."""
    parts = [PREFACE]
    for name, struct in tables():
        rows = list(values(struct))
        about = re.sub(r"^The `\[\w+\]` table[:.] ?", "", " ".join((inspect.getdoc(struct) or "").split()))
        heading = f"## `[{name}]`\n" + (f"\n{about[0].upper()}{about[1:]}\n" if about else "") if name else "## At the top of the file\n"
        shown = [(key, kind, "needed" if default is None else f"`{toml(default)}`", text) for key, default, kind, text in rows]
        lines = [f"| `{key}` | {kind} | {default} | {text} |" for key, kind, default, text in shown]
        header = ["| setting | type | default | meaning |", "| --- | --- | --- | --- |"] if lines else []
        parts.append("\n".join([heading, *header, *lines]).rstrip("\n") + "\n")
    return "\n".join(parts)


def example() -> str:
    """Write the example file: every key with its default, its text above it."""
    parts = [EXAMPLE_PREFACE]
    for name, struct in tables():
        off = "# " if "NAME" in name else ""
        lines = [f"{off}[{name}]"] if name else []
        for key, default, _, text in values(struct):
            setting = f'{key} = {toml("" if default is None else default)}'
            lines += [*textwrap.wrap(text, 110, initial_indent="# ", subsequent_indent="# "), off + setting]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def main() -> int:
    """Write both files, or say which is out of date."""
    wanted = {PAGE: page(), EXAMPLE: example()}
    if "--check" in sys.argv:
        stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date; run tools/document_settings.py", file=sys.stderr)
        return bool(stale)
    for path, text in wanted.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
