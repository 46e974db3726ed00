"""Answers the questions of a check from a dictionary: `{("example.test", "TXT"): ["v=spf1 -all"]}`; None is a time-out, CNAMEs are followed."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from postroom.mailflow.authentication.questions import Check, Query
from postroom.mailflow.resolver import NoAnswer, NoSuchName

Zone = Mapping[tuple[str, str], Sequence[str] | None]


def ask(check: Check[Any], zone: Zone, asked: list[Query] | None = None) -> Any:
    """Run a check to its result."""
    value: list[str] | Exception | None = None
    while True:
        try:
            query = check.throw(value) if isinstance(value, Exception) else check.send(value)  # type: ignore[arg-type]
        except StopIteration as done:
            return done.value
        if asked is not None:
            asked.append(query)
        value = answer(query, zone)


def answer(query: Query, zone: Zone, depth: int = 0) -> list[str] | Exception:
    name = query.name.lower().removesuffix(".")
    if query.kind == "PTR" and depth == 0:
        pointer = ipaddress.ip_address(name).reverse_pointer
        return answer(Query("PTR", pointer), zone, 1)
    if (name, "CNAME") in zone and depth < 10:
        target = zone[name, "CNAME"]
        assert target
        return answer(Query(query.kind, target[0]), zone, depth + 1)
    if (name, query.kind) in zone:
        found = zone[name, query.kind]
        if found is None:
            return NoAnswer(name)
        return [value.rpartition(" ")[2] for value in sorted(found)] if query.kind == "MX" else list(found)
    if any(known == name for known, _ in zone):
        return []
    return NoSuchName(name)
