"""Amazon SES as a smarthost by its API, which moto speaks here."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from postroom.aws.clients import Aws
from postroom.aws.ses import Ses
from postroom.aws.settings import Settings as AwsSettings
from postroom.mailflow.outbound.carrier import Carrier
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.resolver import Resolver
from postroom.server.relay import SesRelay
from postroom.storage.engine import Store
from tests.dns import NameServer
from tests.mailflow.letters import letter, send
from tests.mailflow.test_outbound import bounces, recipient_fields, waiting
from tests.people import People

KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def account(endpoint: str) -> Any:
    """An account from which example.test may send."""
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")).close()
    client = boto3.client("ses", endpoint_url=endpoint, region_name="us-east-1", **KEYS)
    client.verify_domain_identity(Domain="example.test")
    return client


def carrier(store: Store, resolver: Resolver, endpoint: str, **aws: Any) -> Carrier:
    known = {"enabled": True, "access_key_id": "key", "secret_access_key": "secret", "endpoint": endpoint} | aws
    relay = SesRelay(Ses(Aws(AwsSettings(**known), "us-east-1")))
    return Carrier(store, resolver, Settings(hostname="mx.example.test", smarthost="ses"), relay=relay)


async def test_letters_leave_by_the_api(
    store: Store, people: People, dns: tuple[NameServer, Resolver], endpoint: str, account: Any
) -> None:
    many = [f"x{number}@far.test" for number in range(60)]
    send(store, people.actor("alice"), *many, raw=letter("to many", sender="alice@example.test"))
    going = carrier(store, dns[1], endpoint)
    await going.sweep()
    await going.close(0.5)
    assert waiting(store) == []
    assert account.get_send_quota()["SentLast24Hours"] == 60
    assert bounces(store, people) == []


async def test_what_ses_refuses_comes_back(
    store: Store, people: People, dns: tuple[NameServer, Resolver], endpoint: str, account: Any
) -> None:
    account.delete_identity(Identity="example.test")
    send(store, people.actor("alice"), "x@far.test")
    going = carrier(store, dns[1], endpoint)
    await going.sweep()
    await going.close(0.5)
    (report,) = bounces(store, people)
    assert recipient_fields(report)[0]["Status"] == "5.6.0"
    assert "MessageRejected" in report.as_string()


async def test_while_ses_is_not_reached_letters_wait(store: Store, people: People, dns: tuple[NameServer, Resolver]) -> None:
    send(store, people.actor("alice"), "x@far.test")
    going = carrier(store, dns[1], "http://127.0.0.1:9", connect_seconds=0.2)
    await going.sweep()
    await going.close(0.5)
    assert waiting(store) == ["x@far.test"]
    assert bounces(store, people) == []
