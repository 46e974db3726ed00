"""What an earlier version left in the queue goes on by destination."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from postroom.mailflow import queue
from postroom.model.organizations import Organization
from postroom.storage import dialect, migrations
from postroom.storage.engine import Store, Tx
from postroom.storage.queries import destinations

FILES = Path(migrations.__file__).parent / "schema" / "organization"
LATER = ("0010_flow.sql", "0015_delivery.sql")
NEW = ("0018_destinations.sql", "0023_sealers.sql")


def statements(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [part for part in "\n".join(lines).split(";") if part.strip()]


def of_queue(name: str) -> list[str]:
    return [sql for sql in statements((FILES / name).read_text()) if " queue_" in sql]


def go_back(tx: Tx, engine: str) -> None:
    """Make the queue's tables as they were."""
    for table in ("queue_messages", "queue_recipients", "queue_destinations"):
        tx.run(f"DROP TABLE {table}")
    for name in ("0003_mailflow.sql", *LATER):
        for sql in of_queue(name):
            tx.run(dialect.schema(engine, sql))


def fill(tx: Tx) -> None:
    tx.run(
        "INSERT INTO queue_messages (organization, id, content, size, sender, author, eight_bit, international, pending, queued_at)"
        " VALUES (:organization, 1, 1, 100, 'ann@ours.example', 'S-1', 0, 0, 4, :now)",
        now=tx.now,
    )
    for number, (domain, wait, holder) in enumerate(
        [("a.example", 300, ""), ("a.example", -5, ""), ("b.example", 60, "gone"), ("c.example", 9, "")]
    ):
        tx.run(
            "INSERT INTO queue_recipients (organization, id, message, recipient, domain, attempts, due_at, holder, last_reply, warned)"
            " VALUES (:organization, :id, 1, :recipient, :domain, 2, :due_at, :holder, '451 later', 0)",
            id=number + 1,
            recipient=f"x{number}@{domain}",
            domain=domain,
            due_at=tx.now + wait,
            holder=holder,
        )


class Undone(Exception):
    """Ends a transaction that is not to last: its tables are of another time."""


@pytest.fixture
def tx(store: Store, organization: Organization) -> Iterator[Tx]:
    """An organization whose queue an earlier version has filled."""
    with contextlib.suppress(Undone), store.transaction(organization.number) as tx:
        go_back(tx, store.engine)
        fill(tx)
        for name in NEW:
            for sql in statements(dialect.schema(store.engine, (FILES / name).read_text())):
                tx.run(sql)
        yield tx
        raise Undone


def test_what_was_queued_goes_when_it_would_have(tx: Tx) -> None:
    at = {row[0]: round(row[1] - tx.now) for row in destinations.page(tx, after="", limit=10)}
    assert at == {"a.example": -5, "b.example": 60, "c.example": 9}
    parcels, more = queue.lease(tx, "me", "a.example", 10)
    assert [(parcel.destination, [copy.recipient for copy in parcel.copies]) for parcel in parcels] == [("a.example", ["x1@a.example"])]
    assert not more
    assert parcels[0].lifetime == queue.LIFETIME
    assert parcels[0].copies[0].attempts == 2


def test_what_a_killed_server_had_leased_is_due_at_once(tx: Tx) -> None:
    queue.reclaim(tx, "me")
    assert [name for name, _ in queue.due(tx, 10)] == ["a.example", "b.example"]
