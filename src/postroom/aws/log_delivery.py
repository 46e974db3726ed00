"""Log events on their way to CloudWatch Logs, from a bounded buffer, in batches, by a thread of its own.

Each destination has a queue and, after a failure, waits twice as long as before, so that one that refuses does not keep the others
waiting. What there is no room for is dropped, counted and logged. A batch that is refused as invalid is sent in halves, until the event
that makes it so stands alone and is dropped. Groups and streams are made when they are missing.

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
MOST_WAITING_BYTES = 64 * 1024 * 1024
"""What all events that wait may take together."""
GATHERING_SECONDS = 0.5
LONGEST_WAIT = 60.0
MESSAGE_SECONDS = 60.0
"""How often drops are logged."""

_Event = tuple[int, str, int]
"""Milliseconds since 1970, text, and the bytes it counts for."""

log = structlog.get_logger("postroom.aws")


@dataclass(frozen=True, slots=True)
class Destination:
    """A log stream, and the role under which it is written to, '' for the server's own credentials."""

    group: str
    stream: str
    role: str = ""


@dataclass(slots=True)
class _Queue:
    """What waits for a destination; when it is tried again, by how much a failure puts that off, and how many events go at once."""

    events: deque[_Event] = field(default_factory=deque)
    bytes: int = 0
    due: float = 0.0
    wait: float = 1.0
    most: int = MOST_IN_BATCH


class LogDelivery:
    """Delivers log events; `buffer` is how many may wait, no more for one destination than would be left for one more."""

    def __init__(self, aws: Aws, buffer: int) -> None:
        self._aws = aws
        self._buffer = buffer
        self._queues: dict[Destination, _Queue] = {}
        self._waiting = 0
        self._bytes = 0
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
        size = len(text.encode()) + OVERHEAD
        with self._turn:
            if size > MOST_BYTES_OF_ONE:
                self._drop(1, "size")
            elif not self._has_room(destination, size):
                self._drop(1, "buffer")
            else:
                queue = self._queues.setdefault(destination, _Queue())
                queue.events.append((int(at * 1000), text, size))
                queue.bytes += size
                self._waiting += 1
                self._bytes += size
                self._turn.notify()

    def _has_room(self, destination: Destination, size: int) -> bool:
        queue = self._queues.get(destination) or _Queue()
        shares = len(self._queues) + (destination not in self._queues) + 1
        if self._waiting >= self._buffer or self._bytes + size > MOST_WAITING_BYTES:
            return False
        return len(queue.events) < self._buffer / shares and queue.bytes + size <= MOST_WAITING_BYTES / shares

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
                self._failed(destination, len(batch), error)
            else:
                self._sent(destination, len(batch))

    def _next(self) -> tuple[Destination, list[_Event]] | None:
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
            queue = self._queues[destination]
            return destination, _batch(queue.events, queue.most)

    def _send(self, destination: Destination, batch: list[_Event]) -> None:
        client = self._aws.client("logs", role=destination.role)
        events = [{"timestamp": at, "message": text} for at, text, _ in sorted(batch, key=lambda event: event[0])]
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
            queue.due, queue.wait, queue.most = time.monotonic(), 1.0, MOST_IN_BATCH
            self._remove(destination, queue, number)

    def _remove(self, destination: Destination, queue: _Queue, number: int) -> None:
        """Forget the first events of a queue, and an empty queue itself."""
        size = sum(queue.events.popleft()[2] for _ in range(number))
        queue.bytes -= size
        self._bytes -= size
        self._waiting -= number
        if not queue.events:
            del self._queues[destination]

    def _failed(self, destination: Destination, number: int, error: Exception) -> None:
        """Try again later, or if the batch was invalid at once with less of it."""
        with self._turn:
            queue = self._queues[destination]
            if getattr(error, "response", {}).get("Error", {}).get("Code") == "InvalidParameterException":
                queue.most = number // 2
                if not queue.most:
                    queue.most = 1
                    self._drop(1, "invalid")
                    self._remove(destination, queue, 1)
                return
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


def _batch(events: deque[_Event], most: int) -> list[_Event]:
    """Take as many of the first events as a request may have, without removing them."""
    batch: list[_Event] = []
    size, first, last = 0, events[0][0], events[0][0]
    for event in events:
        size += event[2]
        first, last = min(first, event[0]), max(last, event[0])
        if len(batch) == most or size > MOST_BYTES or last - first >= MOST_SPAN:
            break
        batch.append(event)
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
