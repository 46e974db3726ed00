"""Log events on their way to CloudWatch Logs, from a bounded buffer, in batches, by a thread of its own.

Each destination has a queue and, after a failure, waits twice as long as before, so that one that refuses does not keep the others
waiting. What there is no room for is dropped, counted and logged. Groups and streams are made when they are missing.

CloudWatch Logs API: PutLogEvents
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from prometheus_client import Counter

from postroom.aws.clients import Aws

DELIVERED = Counter("postroom_cloudwatch_events", "Log events that CloudWatch Logs has taken")
DROPPED = Counter("postroom_cloudwatch_dropped", "Log events that CloudWatch Logs has not got", ["reason"])
MOST_IN_BATCH = 10_000
MOST_BYTES = 1_048_576
MOST_BYTES_OF_ONE = 256 * 1024
OVERHEAD = 26
"""Bytes that count for each event beside its text."""
MOST_SPAN = 24 * 3_600_000
"""Milliseconds between the first and the last event of a batch."""
GATHERING_SECONDS = 0.5
LONGEST_WAIT = 60.0
MESSAGE_SECONDS = 60.0
"""How often drops are logged."""

log = structlog.get_logger("postroom.aws")


@dataclass(frozen=True, slots=True)
class Destination:
    """A log stream, and the role under which it is written to, '' for the server's own credentials."""

    group: str
    stream: str
    role: str = ""


@dataclass(slots=True)
class _Queue:
    """What waits for a destination, (milliseconds since 1970, text); when it is tried again, and by how much a failure puts that off."""

    events: deque[tuple[int, str]] = field(default_factory=deque)
    due: float = 0.0
    wait: float = 1.0


class LogDelivery:
    """Delivers log events; `buffer` is how many may wait, no more for one destination than would be left for one more."""

    def __init__(self, aws: Aws, buffer: int) -> None:
        self._aws = aws
        self._buffer = buffer
        self._queues: dict[Destination, _Queue] = {}
        self._waiting = 0
        self._turn = threading.Condition()
        self._closing = False
        self._dropped = 0
        self._next_message = 0.0
        self._thread = threading.Thread(target=self._run, name="cloudwatch", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def put(self, destination: Destination, at: float, text: str) -> None:
        """Have an event delivered; `at` in epoch seconds. Called from any thread."""
        with self._turn:
            queue = self._queues.setdefault(destination, _Queue())
            if self._waiting >= self._buffer or len(queue.events) >= self._buffer / (len(self._queues) + 1):
                self._drop(1, "buffer")
            elif len(text.encode()) + OVERHEAD > MOST_BYTES_OF_ONE:
                self._drop(1, "size")
            else:
                queue.events.append((int(at * 1000), text))
                self._waiting += 1
                self._turn.notify()

    def close(self, seconds: float) -> None:
        """Deliver what waits, for so many seconds; the rest is dropped."""
        with self._turn:
            self._closing = True
            for queue in self._queues.values():
                queue.due = 0.0
            self._turn.notify()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        with self._turn:
            if self._waiting:
                DROPPED.labels("end").inc(self._waiting)
                log.warning("cloudwatch_events_dropped", count=self._waiting, reason="the program ends")

    def _run(self) -> None:
        while (work := self._next()) is not None:
            destination, batch = work
            try:
                self._send(destination, batch)
            except Exception as error:  # whatever botocore raises, or a clock that jumped: the thread must live
                self._failed(destination, error)
            else:
                self._sent(destination, len(batch))

    def _next(self) -> tuple[Destination, list[tuple[int, str]]] | None:
        """Wait for a batch that is due; None when the end has come."""
        with self._turn:
            while True:
                if not self._waiting and self._closing:
                    return None
                now = time.monotonic()
                ready = [one for one, queue in self._queues.items() if queue.events and queue.due <= now]
                if ready:
                    break
                if self._closing:
                    return None
                waits = [queue.due - now for queue in self._queues.values() if queue.events]
                self._turn.wait(min(waits) if waits else None)
            if not self._closing and self._waiting < MOST_IN_BATCH:
                self._turn.wait_for(lambda: self._closing, GATHERING_SECONDS)
            destination = min(ready, key=lambda one: self._queues[one].due)
            return destination, _batch(self._queues[destination].events)

    def _send(self, destination: Destination, batch: list[tuple[int, str]]) -> None:
        client = self._aws.client("logs", role=destination.role)
        events = [{"timestamp": at, "message": text} for at, text in sorted(batch, key=lambda event: event[0])]
        place = {"logGroupName": destination.group, "logStreamName": destination.stream}
        try:
            answer = client.put_log_events(**place, logEvents=events)
        except client.exceptions.ResourceNotFoundException:
            _make(client, destination)
            answer = client.put_log_events(**place, logEvents=events)
        rejected = _rejected(answer.get("rejectedLogEventsInfo") or {}, len(events))
        if rejected:
            with self._turn:
                self._drop(rejected, "rejected")

    def _sent(self, destination: Destination, number: int) -> None:
        DELIVERED.inc(number)
        with self._turn:
            queue = self._queues[destination]
            for _ in range(number):
                queue.events.popleft()
            self._waiting -= number
            queue.due, queue.wait = time.monotonic(), 1.0
            if not queue.events:
                del self._queues[destination]

    def _failed(self, destination: Destination, error: Exception) -> None:
        with self._turn:
            queue = self._queues[destination]
            log.warning("cloudwatch_not_reached", group=destination.group, again_in=queue.wait, reason=str(error)[:500])
            queue.due = time.monotonic() + queue.wait
            queue.wait = min(2 * queue.wait, LONGEST_WAIT)

    def _drop(self, number: int, reason: str) -> None:
        """Count what is dropped, and log it now and then."""
        DROPPED.labels(reason).inc(number)
        self._dropped += number
        if self._dropped and time.monotonic() >= self._next_message:
            self._next_message = time.monotonic() + MESSAGE_SECONDS
            log.warning("cloudwatch_events_dropped", count=self._dropped, reason=reason)
            self._dropped = 0


def _batch(events: deque[tuple[int, str]]) -> list[tuple[int, str]]:
    """Take as many of the first events as a request may have, without removing them."""
    batch: list[tuple[int, str]] = []
    size, first, last = 0, events[0][0], events[0][0]
    for at, text in events:
        size += len(text.encode()) + OVERHEAD
        first, last = min(first, at), max(last, at)
        if len(batch) == MOST_IN_BATCH or size > MOST_BYTES or last - first >= MOST_SPAN:
            break
        batch.append((at, text))
    return batch


def _rejected(info: Mapping[str, int], number: int) -> int:
    """Count the events that were too old or too new, by the places in the request that the answer gives."""
    old = max(info.get("tooOldLogEventEndIndex", 0), info.get("expiredLogEventEndIndex", 0))
    return old + number - info.get("tooNewLogEventStartIndex", number)


def _make(client: object, destination: Destination) -> None:
    """Make the group and the stream that are missing."""
    for make, names in (
        ("create_log_group", {"logGroupName": destination.group}),
        ("create_log_stream", {"logGroupName": destination.group, "logStreamName": destination.stream}),
    ):
        try:
            getattr(client, make)(**names)
        except client.exceptions.ResourceAlreadyExistsException:  # type: ignore[attr-defined]
            continue
