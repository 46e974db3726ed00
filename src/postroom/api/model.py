"""The service models: what AWS publishes about the operations of WorkMail and of the services beside it, read from botocore's data files.

A file is found without importing botocore, which would cost the program 20 MB; the documentation in it is not kept.  Everything the
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

WORKMAIL = "workmail"
MESSAGE_FLOW = "workmailmessageflow"
FILES = {
    WORKMAIL: "data/workmail/2017-10-01/service-2.json.gz",
    "iam": "data/iam/2010-05-08/service-2.json.gz",
    "sts": "data/sts/2011-06-15/service-2.json.gz",
    MESSAGE_FLOW: "data/workmailmessageflow/2019-05-01/service-2.json.gz",
}
"""By the names that requests are signed for."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a structure."""

    name: str
    shape: Shape
    required: bool
    location: str = ""
    """Where a REST service looks for it, `uri` or `header`; else it is in the body."""


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
    payload: str = ""
    """The member that is the whole body (REST services)."""


@dataclass(frozen=True, slots=True)
class OperationModel:
    """An operation as AWS describes it."""

    name: str
    input: Shape
    output: Shape | None
    errors: frozenset[str]
    """Their codes on the wire."""
    inputs: frozenset[str]
    """The names of the input's members."""
    idempotent: bool
    """Takes a ClientToken."""
    paged: bool
    wrapper: str = ""
    """The element around an answer (Query services)."""
    method: str = "POST"
    uri: str = "/"
    """The path, perhaps with `{member}` in it (REST services)."""


@dataclass(frozen=True, slots=True)
class ServiceModel:
    """The whole service."""

    target_prefix: str
    signing_name: str
    version: str
    namespace: str
    """Of the XML of Query services."""
    operations: Mapping[str, OperationModel]


def path(service: str = WORKMAIL) -> Path:
    """Find a service model among the installed packages."""
    spec = find_spec("botocore")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the botocore package is not installed; its service model describes the API")
    return Path(spec.submodule_search_locations[0]) / FILES[service]


@cache
def load(service: str = WORKMAIL) -> ServiceModel:
    """Read a service model, once."""
    raw = msgspec.json.decode(gzip.decompress(path(service).read_bytes()))
    shapes = _Shapes(raw["shapes"])
    metadata = raw["metadata"]
    return ServiceModel(
        metadata.get("targetPrefix", ""),
        metadata.get("signingName", metadata["endpointPrefix"]),
        metadata["apiVersion"],
        metadata.get("xmlNamespace", ""),
        {name: _operation(name, entry, shapes) for name, entry in raw["operations"].items()},
    )


def full_match(pattern: str) -> str:
    """Rewrite a pattern of the model for Python, to match whole strings.

    In the model's dialect `\\w` and `\\d` mean ASCII and `\\p{L}` any letter; one pattern carries a doubled backslash before its `b`.
    """
    ascii_only = "(?a:" if r"\p{" not in pattern else "(?:"
    for theirs, ours in _REWRITES:
        pattern = pattern.replace(theirs, ours)
    return rf"{ascii_only}\A(?:{pattern})\Z)"


_REWRITES = ((r"\\b", r"\b"), (r"\p{L}", r"\w"), (r"\p{N}", r"\d"), (r"\p{Z}", r"\s"))


NOTHING = Shape("Nothing", "structure")


class _Shapes:
    """Builds shapes by name, each once; none that is used is recursive."""

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
            tuple(
                Member(key, self.get(entry["shape"]), key in required, entry.get("location", ""))
                for key, entry in raw.get("members", {}).items()
            ),
            self.get(raw["member"]["shape"]) if "member" in raw else None,
            raw.get("payload", ""),
        )

    def code(self, name: str) -> str:
        """Give the code of an error on the wire; the Query services leave out the word Exception."""
        code: str = self._raw[name].get("error", {}).get("code", name)
        return code


def _operation(name: str, raw: Mapping[str, Any], shapes: _Shapes) -> OperationModel:
    taken = shapes.get(raw["input"]["shape"]) if "input" in raw else NOTHING
    names = frozenset(member.name for member in taken.members)
    return OperationModel(
        name,
        taken,
        shapes.get(raw["output"]["shape"]) if "output" in raw else None,
        frozenset(shapes.code(entry["shape"]) for entry in raw.get("errors", ())),
        names,
        "ClientToken" in names,
        not names.isdisjoint({"NextToken", "Marker"}),
        raw.get("output", {}).get("resultWrapper", ""),
        raw["http"]["method"],
        raw["http"]["requestUri"],
    )
