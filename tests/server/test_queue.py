"""`postroom queue` beside a running server: what waits is listed with the reason, tried again, held back, let go, thrown away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import PROGRAM_ENGINES
from tests.interop.reader import Reader
from tests.server.served import eventually
from tests.server.shop import Shop, opened
from tests.sink import Sink


class Moody(Sink):
    """A server that takes nothing for now while it is `busy`."""

    busy = False

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if self.busy:
            return "450 4.2.1 Come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"


@pytest.fixture(scope="module", params=PROGRAM_ENGINES)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(tmp_path_factory.mktemp("queue"), request.param, Moody(), "queue", "alice") as shop:
        yield shop


def listed(house: Shop, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in house.command("list", "--json", *arguments).splitlines()]


def moody(house: Shop) -> Moody:
    assert isinstance(house.sink, Moody)
    return house.sink


@pytest.fixture
def busy(house: Shop) -> Iterator[None]:
    moody(house).busy = True
    yield
    moody(house).busy = False


def test_what_waits_is_listed_held_back_tried_again_and_let_go(house: Shop, busy: None) -> None:
    house.send("alice", "first", "a@far.test", "b@near.test")
    eventually(lambda: [one["reason"] for one in listed(house)] == ["450 4.2.1 Come again"] * 2)
    assert [(one["recipient"], one["state"], one["attempts"]) for one in listed(house)] == [
        ("a@far.test", "waiting", 1),
        ("b@near.test", "waiting", 1),
    ]
    assert "alice@shop.test -> a@far.test: 450 4.2.1 Come again" in house.command()
    assert [line.split()[:3] for line in house.command("destinations").splitlines()[1:]] == [["far.test", "1", "0"], ["near.test", "1", "0"]]
    assert house.command("hold", "--destination", "far.test", "--reason", "let me see") == "1 copies are held back\n"
    moody(house).busy = False
    assert house.command("retry", "--all") == "1 copies are tried now\n"
    eventually(lambda: house.arrived("first") == ["b@near.test"])
    eventually(lambda: [one["recipient"] for one in listed(house)] == ["a@far.test"])
    (held,) = listed(house, "--held")
    assert (held["state"], held["reason"], held["nextAttemptAt"]) == ("held", "let me see", None)
    shown = house.command("show", str(held["id"]))
    assert "Subject: first" in shown
    assert "held by operator" in shown
    assert house.command("release", str(held["id"])) == "1 copies go\n"
    eventually(lambda: house.arrived("first") == ["a@far.test", "b@near.test"])
    eventually(lambda: listed(house) == [])


def test_what_is_thrown_away_never_leaves_and_its_author_is_told(house: Shop, busy: None) -> None:
    house.send("alice", "second", "a@far.test", "b@far.test")
    eventually(lambda: [one["attempts"] for one in listed(house)] == [1, 1])
    assert house.command("drop", "--recipient", "b@far.test", "--tell", "Not to them") == "1 copies are thrown away\n"
    assert house.command("drop", "--sender", "alice@shop.test") == "1 copies are thrown away\n"
    with Reader(house.program.ready, house.people["alice"]) as reader:
        told = reader.await_letter(b"Final-Recipient: rfc822; b@far.test")
    assert b"Not to them" in told
    assert b"a@far.test" not in told
    assert listed(house) == []
    moody(house).busy = False
    house.send("alice", "third", "c@far.test")
    eventually(lambda: house.arrived("third") == ["c@far.test"])
    assert house.arrived("second") == []


def test_nothing_is_done_to_all_by_mistake(house: Shop) -> None:
    for verb in ("retry", "hold", "release", "drop"):
        status, _, err = house.ask(verb)
        assert (status, "Say which" in err) == (1, True)
    status, _, err = house.ask("show", "999999")
    assert (status, "999999" in err) == (1, True)
