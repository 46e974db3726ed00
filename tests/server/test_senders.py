"""A stolen password: what is sent with it is taken and waits, the postmaster hears of it, and the command decides what becomes of it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import PROGRAM_ENGINES
from tests.interop.reader import Reader
from tests.server.served import eventually
from tests.server.shop import Shop, opened
from tests.sink import Sink, Taken

MORE = """
[spikes]
least = 3
"""


@pytest.fixture(scope="module", params=PROGRAM_ENGINES)
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(tmp_path_factory.mktemp("senders"), request.param, Sink(), "senders", "alice", "bob", "postmaster", more=MORE) as shop:
        yield shop


def of(subject: str) -> Any:
    def wanted(one: Taken) -> bool:
        return one.subject == subject

    return wanted


def marker(house: Shop, subject: str) -> None:
    """Wait until a letter that may leave has left: what would have left before it has, too."""
    house.send("bob", subject, "end@far.test")
    house.sink.await_one(of(subject))


def test_a_thief_is_answered_250_and_nothing_leaves_until_it_is_released(house: Shop) -> None:
    house.send("alice", "usual", "a@far.test", "b@far.test")
    eventually(lambda: len(house.arrived("usual")) == 2)
    house.send("alice", "spike", "a@far.test", "b@far.test", "bob@shop.test")
    house.send("alice", "more", *(f"x{number}@far.test" for number in range(20)))
    marker(house, "first marker")
    assert (house.arrived("usual"), house.arrived("spike"), house.arrived("more")) == (["a@far.test", "b@far.test"], [], [])
    with Reader(house.program.ready, house.people["bob"]) as reader:
        reader.await_letter(b"Subject: spike")
    with Reader(house.program.ready, house.people["postmaster"]) as reader:
        told = reader.await_letter(b"Subject: Mail from alice@shop.test is held back")
    assert b"postroom senders release alice@shop.test" in told
    head, line = house.lines()
    assert line.split()[:3] == ["alice@shop.test", "held", time.strftime("%Y-%m-%d", time.gmtime())]
    assert line.endswith("4 recipients elsewhere in this hour, 0 in the busiest of the 30 days before")
    assert line[head.index("HELD") - 3 :].split()[:2] == ["22", "2"]
    events = [json.loads(text)["event"] for text in (house.config.parent / "data" / "logs" / "events.jsonl").read_text().splitlines()]
    assert [event["sender"] for event in events if event["eventName"] == "SENDER_HELD"] == ["alice@shop.test"]
    assert "sender_held" in house.program.tail(60_000)
    with urllib.request.urlopen(house.program.ready.api + "/metrics") as answer:
        assert b"\npostroom_mailflow_spikes_total 1.0\n" in answer.read()

    assert house.lines("release", "alice@shop.test")[0].startswith("alice@shop.test: mail goes to 22 recipients; trusted until ")
    eventually(lambda: len(house.arrived("spike")) == 2 and len(house.arrived("more")) == 20)
    house.send("alice", "trusted", *(f"y{number}@far.test" for number in range(20)))
    eventually(lambda: len(house.arrived("trusted")) == 20)
    assert house.lines("list")[1].split()[1] == "trusted"


def test_what_is_dropped_never_leaves_and_the_user_begins_anew(house: Shop) -> None:
    dora = house.people["dora"] = house.hire("dora")
    house.send("dora", "junk", *(f"x{number}@far.test" for number in range(9)))
    assert house.lines("drop", dora.email) == ["dora@shop.test: mail to 9 recipients thrown away"]
    house.send("dora", "honest", "a@far.test")
    house.sink.await_one(of("honest"))
    assert house.arrived("junk") == []
    assert all("dora@" not in line for line in house.lines("list"))
    assert house.ask("drop", dora.email) == (1, "", "postroom: Nothing of dora@shop.test is held back.\n")


def test_who_is_trusted_sends_to_many_and_who_is_watched_again_does_not(house: Shop) -> None:
    emil = house.people["emil"] = house.hire("emil")
    house.lines("trust", emil.email, "--until", "2")
    house.send("emil", "news", *(f"x{number}@far.test" for number in range(30)))
    eventually(lambda: len(house.arrived("news")) == 30)
    house.lines("watch", emil.email)
    house.lines("trust", emil.email)
    assert any(line.split()[:2] == ["emil@shop.test", "trusted"] and "for good" in line for line in house.lines())
    house.lines("watch", emil.email)
    house.send("emil", "held", *(f"x{number}@far.test" for number in range(99)))  # with those 30 more than four times 30, the habit of none
    marker(house, "third marker")
    assert house.arrived("held") == []


def test_an_administrator_holds_by_hand(house: Shop) -> None:
    fred = house.people["fred"] = house.hire("fred")
    house.lines("hold", fred.email, "--reason", "a call from\nthe bank")
    house.send("fred", "one", "a@far.test")
    marker(house, "fourth marker")
    assert house.arrived("one") == []
    assert any(line.startswith(fred.email) and line.endswith(" a call from the bank") for line in house.lines())
    for verb in ("trust", "watch"):
        assert house.ask(verb, fred.email) == (1, "", "postroom: Mail of fred@shop.test is held back: release or drop it first.\n")
    house.lines("release", fred.email, "--until", "2999-12-31T02:00+02:00")
    house.sink.await_one(of("one"))
    assert any(line.startswith(fred.email) and " 2999-12-31 00:00Z" in line for line in house.lines())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["release", "nobody@shop.test"], "There is no nobody@shop.test."),
        (["trust", "bob@shop.test", "--until", "2020-01-01"], "2020-01-01 is over already."),
        (["trust", "bob@shop.test", "--until", "soon"], "soon is neither a date such as 2027-01-31 nor a number of days."),
        (["trust", "bob@shop.test", "--until", "0"], "0 is over already."),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(house: Shop, arguments: list[str], said: str) -> None:
    assert house.ask(*arguments) == (1, "", f"postroom: {said}\n")
