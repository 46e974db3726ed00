"""The RFC 7208 test suite, as pyspf distributes it (rfc7208-tests.yml and its licence stand beside this file)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from postroom.mailflow.authentication import spf
from tests.mailflow.authentication.scripted import ask

SUITE = Path(__file__).with_name("rfc7208-tests.yml")


def scenarios() -> Iterator[tuple[str, dict[str, Any], dict[str, list[Any]]]]:
    with SUITE.open() as file:
        for scenario in yaml.safe_load_all(file):
            for name, test in scenario["tests"].items():
                yield name, test, scenario["zonedata"]


CASES = list(scenarios())


def zone(data: dict[str, list[Any]]) -> dict[tuple[str, str], list[str] | None]:
    """Turn the suite's zone into answers; None is a time-out. SPF records stand for TXT where there is no TXT."""
    found: dict[tuple[str, str], list[str] | None] = {}
    for name, records in data.items():
        key = name.lower().removesuffix(".")
        texts = [record for record in records if isinstance(record, dict) and "TXT" in record]
        for record in records:
            if record == "TIMEOUT":
                for kind in ("TXT", "A", "AAAA", "MX", "PTR"):
                    found.setdefault((key, kind), None)
                continue
            (kind, value), = record.items()
            if kind == "SPF":
                if texts:
                    continue
                kind = "TXT"
            if value == "NONE":
                continue
            if value == "TIMEOUT":
                found[key, kind] = None
                continue
            if kind == "TXT":
                value = value if isinstance(value, str) else "".join(value)
            elif kind == "MX":
                value = f"{value[0]:05} {value[1]}"
            answers = found.setdefault((key, kind), [])
            if answers is None:
                answers = found[key, kind] = []
            answers.append(value)
        found.setdefault((key, "EXISTS"), [])
    return found


@pytest.mark.parametrize(("name", "test", "data"), CASES, ids=[name for name, _, _ in CASES])
def test_the_suite(name: str, test: dict[str, Any], data: dict[str, list[Any]]) -> None:
    client = spf.Client(test["host"], test["helo"])
    sender = test.get("mailfrom") or ""
    domain = sender.rpartition("@")[2] if sender else test["helo"]
    found = ask(spf.evaluate(client, sender or f"postmaster@{test['helo']}", domain, 1_000_000_000), zone(data))
    wanted = test["result"] if isinstance(test["result"], list) else [test["result"]]
    assert found.result.value in wanted, found.reason
    if "explanation" in test and found.result.value == "fail":
        assert found.reason == ("" if test["explanation"] == "DEFAULT" else test["explanation"])


def test_the_suite_is_whole() -> None:
    assert len(CASES) > 190
