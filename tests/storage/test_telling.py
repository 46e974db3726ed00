"""What a process commits beside the one that serves is heard there, whatever the engine."""

import asyncio
from collections.abc import Callable

import pytest

from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.storage import telling
from postroom.storage.engine import Store, Tx
from postroom.storage.notifier import WHOLE, Changes

LARGEST = 2**63 - 1
LETTERS_OF_A_TOPIC = 12


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def change(tx: Tx, folders: range, *topics: str) -> None:
    for folder in folders:
        tx.changes.add(7, folder)
    for topic in topics:
        tx.changes.wake(topic)


def fail(tx: Tx) -> None:
    change(tx, range(1000, 1001))
    raise errors.OverQuota


async def serve(store: Store) -> list[int]:
    """Have a store hear what others do, and give what is heard of mailbox 7 of organization 1 from then on."""
    heard: list[int] = []
    store.notifier.subscribe(1, 7, heard.append)
    store.hear()
    await until(lambda: WHOLE in heard)  # from now on; before, something may have been missed
    await asyncio.sleep(0)
    heard.clear()
    return heard


async def test_the_server_hears_of_folders_and_of_work_once(store: Store, organization: Organization, neighbour: Store) -> None:
    here, woken, there = await serve(store), list[int](), list[int]()
    store.notifier.on("queue", woken.append)
    neighbour.notifier.subscribe(1, 7, there.append)
    await neighbour.transact(1, change, range(1, 3), "queue")
    await until(lambda: here == [1, 2] and woken == [1])
    with neighbour.transaction(1) as tx:
        change(tx, range(3, 4), "queue")
    await until(lambda: here == [1, 2, 3] and woken == [1, 1])
    await store.transact(1, change, range(4, 5), "queue")
    await neighbour.transact(1, change, range(5, 6))
    await until(lambda: here == [1, 2, 3, 4, 5])
    assert woken == [1, 1, 1]
    assert there == [1, 2, 3, 5]


async def test_it_hears_of_many_folders_and_of_nothing_that_was_rolled_back(
    store: Store, organization: Organization, neighbour: Store
) -> None:
    heard = await serve(store)
    with pytest.raises(errors.OverQuota):
        await neighbour.transact(1, fail)
    await neighbour.transact(1, change, range(1, 1000))
    await until(lambda: len(heard) >= 999)
    assert sorted(heard) == list(range(1, 1000))


async def test_it_hears_who_must_be_asked_again(store: Store, organization: Organization, neighbour: Store) -> None:
    heard = await serve(store)
    doubts = store.notifier.doubts
    await neighbour.transact(1, lambda tx: tx.changes.doubt_all())
    await until(lambda: heard == [WHOLE])
    assert store.notifier.doubts == doubts + 1


async def test_commands_do_not_need_a_server_and_one_that_has_ended_is_not_missed(
    store: Store, organization: Organization, neighbour: Store
) -> None:
    await neighbour.transact(1, change, range(1, 2), "queue")
    await serve(store)
    store.close()
    await neighbour.transact(1, change, range(1, 2), "queue")


def test_a_line_is_what_was_changed() -> None:
    changes = [Changes(), Changes()]
    changes[0].add(7, 1)
    changes[0].wake("queue")
    changes[1].doubt_all()
    (line,) = telling.lines("me", 3, changes, topics=True)
    told = telling.heard(line)
    assert (told.sender, told.scope, told.changes.folders, told.changes.topics) == ("me", 3, {(7, 1), (0, WHOLE)}, {"queue"})
    (line,) = telling.lines("me", 3, changes, topics=False)
    assert telling.heard(line.decode()).changes.topics == set()


def test_nothing_changed_is_no_line() -> None:
    woken = Changes()
    woken.wake("queue")
    assert telling.lines("", 1, [Changes()], topics=True) == telling.lines("", 1, [woken], topics=False) == []
    assert len(telling.lines("", 1, [woken], topics=True)) == 1


def test_lines_are_as_long_as_a_pipe_and_a_notify_take() -> None:
    changes = Changes()
    for folder in range(500):
        changes.add(LARGEST, LARGEST - folder)
    for topic in range(8):
        changes.wake(f"{topic}" * LETTERS_OF_A_TOPIC)
    lines = telling.lines("f" * 16, LARGEST, [changes], topics=True)
    assert max(map(len, lines)) < 4096
    assert set().union(*(telling.heard(line).changes.folders for line in lines)) == changes.folders


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[1]",
        b"[" * 4000,
        b'["",1,[[1]]]',
        b'["",1,[[1,"2"]]]',
        b'["",1,[[1,2]],["queue"],"of a later version"]',
        b'["",1.5,[]]',
        b'["\xff",1,[]]',
    ],
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a line"):
        telling.heard(line)
