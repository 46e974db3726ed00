"""Mail events in their journal and in CloudWatch Logs, as moto offers it over HTTP."""

import asyncio
import json
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from structlog.testing import capture_logs

from postroom.aws import log_delivery
from postroom.aws.clients import Aws
from postroom.aws.log_delivery import Destination, LogDelivery
from postroom.aws.settings import Settings as AwsSettings
from postroom.model.organizations import Organization
from postroom.policy import monitoring
from postroom.policy.monitoring import Monitoring
from postroom.server.journals import journal
from postroom.server.journals.event_log import EventLog
from postroom.server.journals.journal import Settings
from postroom.storage.engine import Store
from tests.conftest import Clock, make_organization
from tests.mailflow.letters import letter, receive
from tests.people import People, add_user, populate

GROUP = "/aws/workmail/emailevents/example"
ARN = f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}:*"
KEYS = {"region_name": "us-east-1", "aws_access_key_id": "key", "aws_secret_access_key": "secret"}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def logs(moto: str) -> Iterator[Any]:
    """CloudWatch Logs without any group."""
    client = boto3.client("logs", endpoint_url=moto, **KEYS)
    yield client
    for group in client.describe_log_groups()["logGroups"]:
        client.delete_log_group(logGroupName=group["logGroupName"])


def aws(endpoint: str) -> Aws:
    settings = AwsSettings(enabled=True, access_key_id="key", secret_access_key="secret", endpoint=endpoint, connect_seconds=1.0)
    return Aws(settings, "us-east-1")


@pytest.fixture
def people(store: Store, organization: Organization) -> People:
    return populate(store, organization)


def wait(check: Callable[[], Any]) -> Any:
    pause = threading.Event()
    for _ in range(2000):
        if found := check():
            return found
        pause.wait(0.01)
    raise AssertionError("nothing happened")


def messages(logs: Any, group: str = GROUP) -> list[tuple[str, int, dict[str, Any]]]:
    """List (stream, milliseconds, event) of a group."""
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        return []
    found = logs.filter_log_events(logGroupName=group)["events"]
    return [(event["logStreamName"], event["timestamp"], json.loads(event["message"])) for event in found]


async def recorded(store: Store, folder: Path, delivery: LogDelivery | None, work: Callable[[], Any]) -> list[dict[str, Any]]:
    """Record what some work tells; gives the journal."""
    log = EventLog(store, folder, Settings(), delivery)
    log.start()
    try:
        await asyncio.to_thread(work)
    finally:
        await asyncio.to_thread(log.close, 10.0)
    return [json.loads(line) for line in journal.lines(folder, "events")]


async def test_every_event_is_in_the_journal_under_its_organization(store: Store, people: People, tmp_path: Path) -> None:
    other = make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        add_user(tx, "dave", "other.test")

    def work() -> None:
        receive(store, "alice@example.test", raw=letter("Grüße\u2028\\"))
        receive(store, "dave@other.test", scope=2)

    lines = await recorded(store, tmp_path, None, work)
    assert [(line["organizationId"], line["event"]["eventName"]) for line in lines] == [
        (people.organization.id, "ORGANIZATION_EMAIL_RECEIVED"),
        (people.organization.id, "MAILBOX_EMAIL_DELIVERED"),
        (other.id, "ORGANIZATION_EMAIL_RECEIVED"),
        (other.id, "MAILBOX_EMAIL_DELIVERED"),
    ]
    assert {line["eventTimestamp"] for line in lines} == {"2027-01-15T08:00:00.000Z"}
    assert lines[0]["traceId"] == lines[1]["traceId"] != lines[2]["traceId"]
    assert lines[0]["event"]["subject"] == "Grüße\u2028\\"


async def test_who_asks_for_it_has_the_same_in_cloudwatch(
    store: Store, people: People, clock: Clock, tmp_path: Path, moto: str, logs: Any
) -> None:
    make_organization(store, number=2, alias="other")
    clock.now = time.time()
    with store.transaction(2) as tx:
        add_user(tx, "dave", "other.test")
    with store.transaction(1) as tx:
        monitoring.put(tx, Monitoring(ARN, "arn:aws:iam::123456789012:role/events"))

    def work() -> None:
        receive(store, "alice@example.test")
        receive(store, "dave@other.test", scope=2)

    lines = await recorded(store, tmp_path, LogDelivery(aws(moto), 1000), work)
    ours = [line for line in lines if line["organizationId"] == people.organization.id]
    assert (len(lines), len(ours)) == (4, 2)
    assert messages(logs) == [(f"{people.organization.id}/{os.uname().nodename}", int(clock.now * 1000), line) for line in ours]


async def test_a_configuration_holds_from_the_next_event_on(
    store: Store, people: People, clock: Clock, tmp_path: Path, moto: str, logs: Any
) -> None:
    clock.now = time.time()
    delivery = LogDelivery(aws(moto), 1000)
    log = EventLog(store, tmp_path, Settings(), delivery)
    log.start()

    async def letter_comes(subject: str) -> None:
        count = sum(1 for _ in journal.lines(tmp_path, "events"))
        await asyncio.to_thread(receive, store, "alice@example.test", raw=letter(subject))
        await asyncio.to_thread(wait, lambda: sum(1 for _ in journal.lines(tmp_path, "events")) == count + 2)

    await letter_comes("before")
    await store.transact(1, monitoring.put, Monitoring(ARN))
    await letter_comes("watched")
    await store.transact(1, monitoring.delete)
    await letter_comes("after")
    await asyncio.to_thread(log.close, 10.0)
    assert [event["event"].get("subject") for _, _, event in messages(logs)] == ["watched", None]


def test_what_cloudwatch_cannot_take_now_it_gets_later(moto: str, logs: Any) -> None:
    """A port where nobody listens, until somebody does."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    delivery = LogDelivery(aws(f"http://127.0.0.1:{port}"), 1000)
    delivery.start()
    with capture_logs() as said:
        delivery.put(Destination(GROUP, "stream"), time.time(), "{}")
        wait(lambda: any(entry["event"] == "cloudwatch_not_reached" for entry in said))
    server = ThreadedMotoServer(port=port, verbose=False)
    server.start()
    try:
        wait(lambda: messages(boto3.client("logs", endpoint_url=f"http://127.0.0.1:{port}", **KEYS)))
        delivery.close(10.0)
    finally:
        server.stop()


def test_there_is_room_for_so_many_and_no_destination_takes_it_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    delivery = LogDelivery(aws(f"http://127.0.0.1:{port}"), 100)
    before = log_delivery.DROPPED.labels("buffer")._value.get()
    with capture_logs() as said:
        for name, number in (("a", 80), ("b", 80)):
            for _ in range(number):
                delivery.put(Destination(name, "stream"), 0.0, "{}")
        delivery.put(Destination("c", "stream"), 0.0, "x" * 300_000)
        delivery.close(0.1)
    assert log_delivery.DROPPED.labels("buffer")._value.get() - before == 76
    assert [entry["count"] for entry in said if entry["event"] == "cloudwatch_events_dropped"] == [1, 84]


def test_what_cloudwatch_refuses_for_its_age_is_counted(moto: str, logs: Any) -> None:
    delivery = LogDelivery(aws(moto), 1000)
    delivery.start()
    before = log_delivery.DROPPED.labels("rejected")._value.get()
    delivery.put(Destination(GROUP, "stream"), time.time() + 86_400, "{}")
    delivery.close(10.0)
    assert log_delivery.DROPPED.labels("rejected")._value.get() - before == 1


def test_a_batch_is_within_the_bounds_of_a_request() -> None:
    day = 24 * 3_600_000
    most = log_delivery.MOST_IN_BATCH
    assert len(log_delivery._batch(deque([(0, "x", 27)] * 20_000), most)) == 10_000
    assert len(log_delivery._batch(deque([(0, "x", 100_026)] * 20), most)) == 10
    assert log_delivery._batch(deque([(5, "a", 27), (day + 4, "b", 27), (day + 5, "c", 27)]), most) == [(5, "a", 27), (day + 4, "b", 27)]


def test_what_waits_takes_so_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_delivery, "MOST_WAITING_BYTES", 1_000_000)
    delivery = LogDelivery(aws("http://127.0.0.1:1"), 100_000)
    before = log_delivery.DROPPED.labels("buffer")._value.get()
    for name in ("a", "b"):
        for _ in range(10):
            delivery.put(Destination(name, "stream"), 0.0, "x" * 99_974)
    assert log_delivery.DROPPED.labels("buffer")._value.get() - before == 12
    delivery.put(Destination("c", "stream"), 0.0, "x" * 300_000)
    assert {one.group: len(queue.events) for one, queue in delivery._queues.items()} == {"a": 5, "b": 3}


class Picky(BaseHTTPRequestHandler):
    """CloudWatch Logs as it refuses a batch that is not in the order of time, or has something in it that it does not like."""

    taken: list[str]

    def do_POST(self) -> None:
        events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["logEvents"]
        texts = [event["message"] for event in events]
        bad = "bad" in texts or events != sorted(events, key=lambda event: event["timestamp"])
        self.taken += [] if bad else texts
        body = json.dumps({"__type": "InvalidParameterException"} if bad else {}).encode()
        self.send_response(400 if bad else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_an_event_that_is_refused_keeps_no_others_waiting() -> None:
    taken: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Picky,), {"taken": taken}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    delivery = LogDelivery(aws(f"http://127.0.0.1:{server.server_address[1]}"), 1000)
    before = log_delivery.DROPPED.labels("invalid")._value.get()
    texts = [str(number) for number in range(10)]
    for at, text in enumerate([*texts[:7], "bad", *texts[7:]]):
        delivery.put(Destination(GROUP, "stream"), at, text)
    for at in (9, 8):
        delivery.put(Destination(GROUP, "other"), at, f"at {at}")
    delivery.start()
    delivery.close(20.0)
    server.shutdown()
    server.server_close()
    assert [text for text in taken if not text.startswith("at")] == texts
    assert [text for text in taken if text.startswith("at")] == ["at 8", "at 9"]
    assert log_delivery.DROPPED.labels("invalid")._value.get() - before == 1
    assert delivery._bytes == delivery._waiting == 0


def test_many_events_arrive_in_order(moto: str, logs: Any) -> None:
    now = time.time()
    delivery = LogDelivery(aws(moto), 100_000)
    delivery.start()
    for number in range(12_000):
        delivery.put(Destination(GROUP, "stream"), now + number / 1000, f"{number}")
    delivery.close(60.0)
    client_events: list[int] = []
    token: dict[str, str] = {}
    while True:
        page = logs.get_log_events(logGroupName=GROUP, logStreamName="stream", startFromHead=True, limit=10_000, **token)
        if not page["events"]:
            break
        client_events += [int(event["message"]) for event in page["events"]]
        token = {"nextToken": page["nextForwardToken"]}
    assert client_events == list(range(12_000))
