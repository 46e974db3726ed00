"""The service model: what AWS publishes about the 92 operations of WorkMail, read from botocore's data file.

The file is found without importing botocore, which would cost the program 20 MB; the documentation in it is not kept.  Everything the
gateway asks of a request (types, lengths, patterns, enumerations) comes from here and is written down nowhere else.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

FILE = "data/workmail/2017-10-01/service-2.json.gz"


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a structure."""

    name: str
    shape: Shape
    required: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """A type with its constraints; `least` and `most` bound the length of strings and lists and the value of numbers."""

    name: str
    kind: str
    least: float | None = None
    most: float | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    sensitive: bool = False
    members: tuple[Member, ...] = ()
    member: Shape | None = None


@dataclass(frozen=True, slots=True)
class OperationModel:
    """An operation as AWS describes it."""

    name: str
    input: Shape
    output: Shape | None
    errors: frozenset[str]
    inputs: frozenset[str]
    """The names of the input's members."""
    idempotent: bool
    """Takes a ClientToken."""
    paged: bool


@dataclass(frozen=True, slots=True)
class ServiceModel:
    """The whole service."""

    target_prefix: str
    signing_name: str
    operations: Mapping[str, OperationModel]


def path() -> Path:
    """Find the service model among the installed packages."""
    spec = find_spec("botocore")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the botocore package is not installed; its service model describes the API")
    return Path(spec.submodule_search_locations[0]) / FILE


@cache
def load() -> ServiceModel:
    """Read the service model, once."""
    raw = msgspec.json.decode(gzip.decompress(path().read_bytes()))
    shapes = _Shapes(raw["shapes"])
    operations = {name: _operation(name, entry, shapes) for name, entry in raw["operations"].items()}
    metadata = raw["metadata"]
    return ServiceModel(metadata["targetPrefix"], metadata.get("signingName", metadata["endpointPrefix"]), operations)


def full_match(pattern: str) -> str:
    """Rewrite a pattern of the model for Python, to match whole strings.

    In the model's dialect `\\w` and `\\d` mean ASCII and `\\p{L}` any letter; one pattern carries a doubled backslash before its `b`.
    """
    ascii_only = "(?a:" if r"\p{" not in pattern else "(?:"
    for theirs, ours in _REWRITES:
        pattern = pattern.replace(theirs, ours)
    return rf"{ascii_only}\A(?:{pattern})\Z)"


_REWRITES = ((r"\\b", r"\b"), (r"\p{L}", r"\w"), (r"\p{N}", r"\d"), (r"\p{Z}", r"\s"))


class _Shapes:
    """Builds shapes by name, each once; the model has no recursive ones."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self._built: dict[str, Shape] = {}

    def get(self, name: str) -> Shape:
        if name not in self._built:
            self._built[name] = self._build(name, self._raw[name])
        return self._built[name]

    def _build(self, name: str, raw: Mapping[str, Any]) -> Shape:
        required = frozenset(raw.get("required", ()))
        return Shape(
            name,
            raw["type"],
            raw.get("min"),
            raw.get("max"),
            raw.get("pattern"),
            tuple(raw.get("enum", ())),
            bool(raw.get("sensitive")),
            tuple(Member(key, self.get(entry["shape"]), key in required) for key, entry in raw.get("members", {}).items()),
            self.get(raw["member"]["shape"]) if "member" in raw else None,
        )


def _operation(name: str, raw: Mapping[str, Any], shapes: _Shapes) -> OperationModel:
    taken = shapes.get(raw["input"]["shape"])
    names = frozenset(member.name for member in taken.members)
    return OperationModel(
        name,
        taken,
        shapes.get(raw["output"]["shape"]) if "output" in raw else None,
        frozenset(entry["shape"] for entry in raw.get("errors", ())),
        names,
        "ClientToken" in names,
        "NextToken" in names,
    )
