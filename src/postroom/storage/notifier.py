"""Tells waiting clients what has been committed.

A transaction notes what it changes; the store publishes the notes after COMMIT, so nobody ever hears of a
change that is not there. Callbacks run in the event loop of the subscriber.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence

WHOLE = 0
"""In place of a folder: the mailbox itself has been closed to those who use it, or they must ask again."""
ANY = -1
"""In place of a folder: each of the mailbox's may have changed."""
ALL = 0
"""In place of a mailbox, with `WHOLE`: every mailbox of the organization."""

MailboxCallback = Callable[[int], None]
TopicCallback = Callable[[int], None]
_Calls = dict[asyncio.AbstractEventLoop, list[tuple[Callable[[int], None], int]]]


class Changes:
    """The notes of one transaction."""

    __slots__ = ("events", "folders", "topics")

    def __init__(self) -> None:
        self.folders: set[tuple[int, int]] = set()
        self.topics: set[str] = set()
        self.events: list[object] = []

    def add(self, mailbox: int, folder: int) -> None:
        """Note that a folder of a mailbox has a new entry in its change log."""
        self.folders.add((mailbox, folder))

    def doubt_all(self) -> None:
        """Have everybody who has a mailbox of the organization open asked again whether they may."""
        self.folders.add((ALL, WHOLE))

    def wake(self, topic: str) -> None:
        """Note that a job has new work, for example `queue`."""
        self.topics.add(topic)

    def tell(self, event: object) -> None:
        """Note something for those who keep a record of what happens, once and in this process."""
        self.events.append(event)


class Notifier:
    """Subscriptions to mailboxes (`callback(folder)`) and to topics (`callback(scope)`)."""

    def __init__(self) -> None:
        self._mailboxes: dict[tuple[int, int], dict[int, tuple[asyncio.AbstractEventLoop, MailboxCallback]]] = {}
        self._topics: dict[str, dict[int, tuple[asyncio.AbstractEventLoop, TopicCallback]]] = defaultdict(dict)
        self._recorders: list[Callable[[list[object]], None]] = []
        self._next = 0
        self._doubts = itertools.count(1)
        self.doubts = 0
        """How often a mailbox has been closed, or might have been: who saw this number move must ask again."""

    def subscribe(self, scope: int, mailbox: int, callback: MailboxCallback) -> Callable[[], None]:
        """Call back with the folder's id whenever one of the mailbox changes, or with `WHOLE` or `ANY`; gives the way to stop."""
        key = (scope, mailbox)
        self._next += 1
        number = self._next
        self._mailboxes.setdefault(key, {})[number] = (asyncio.get_running_loop(), callback)

        def unsubscribe() -> None:
            listeners = self._mailboxes.get(key, {})
            listeners.pop(number, None)
            if not listeners:
                self._mailboxes.pop(key, None)

        return unsubscribe

    def on(self, topic: str, callback: TopicCallback) -> Callable[[], None]:
        """Call back with the scope whenever a transaction wakes the topic; gives the way to stop."""
        self._next += 1
        number = self._next
        self._topics[topic][number] = (asyncio.get_running_loop(), callback)

        def unsubscribe() -> None:
            self._topics[topic].pop(number, None)

        return unsubscribe

    def record(self, recorder: Callable[[list[object]], None]) -> None:
        """Give it what transactions tell, on the thread that has committed; it must be quick and raise nothing."""
        self._recorders.append(recorder)

    def publish(self, scope: int, changes: Sequence[Changes]) -> None:
        """Tell the subscribers; called from any thread, after COMMIT."""
        calls: _Calls = {}
        for mailbox, folder in {pair for change in changes for pair in change.folders}:
            if folder == WHOLE:
                self.doubts = next(self._doubts)  # before the listeners are listed: who comes later sees that it has moved
            for loop, callback in self._listeners(scope, mailbox):
                calls.setdefault(loop, []).append((callback, folder))
        for topic in {name for change in changes for name in change.topics}:
            for loop, callback in list(self._topics.get(topic, {}).values()):
                calls.setdefault(loop, []).append((callback, scope))
        _deliver(calls)
        for recorder in self._recorders:
            if events := [event for change in changes for event in change.events]:
                recorder(events)

    def missed(self) -> None:
        """Tell everybody that changes may have been missed, so that all must ask again and look again; called from any thread."""
        calls: _Calls = {}
        self.doubts = next(self._doubts)
        for listeners in list(self._mailboxes.values()):
            for loop, callback in list(listeners.values()):
                calls.setdefault(loop, []).extend([(callback, WHOLE), (callback, ANY)])
        _deliver(calls)

    def _listeners(self, scope: int, mailbox: int) -> list[tuple[asyncio.AbstractEventLoop, MailboxCallback]]:
        if mailbox != ALL:
            return list(self._mailboxes.get((scope, mailbox), {}).values())
        return [one for key, listeners in list(self._mailboxes.items()) if key[0] == scope for one in list(listeners.values())]


def _deliver(calls: _Calls) -> None:
    for loop, batch in calls.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_call_all, batch)


def _call_all(batch: list[tuple[Callable[[int], None], int]]) -> None:
    for callback, value in batch:
        callback(value)
