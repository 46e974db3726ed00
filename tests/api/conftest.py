"""The gateway behind a real listener, and real boto3 in front of it."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from structlog.testing import capture_logs

from postroom.api.gateway import Gateway
from postroom.api.operation import Facilities, MailDomainPolicy
from postroom.api.settings import Settings
from postroom.model.principals import AccessKey, Session
from postroom.policy import iam
from postroom.policy.iam import access_keys
from postroom.storage.engine import REGISTRY, Store

REGION = "us-east-1"
ACCOUNT = "123456789012"
SETTINGS = Settings(region=REGION, account=ACCOUNT, facilities=Facilities(mail_domains=MailDomainPolicy(trust=True)))


SERIAL = itertools.count(1)
SESSION = boto3.Session()
"""Shared, since it keeps the service model it has read."""


class RunningClock:
    """The real time, which signatures need, and a leap on top of it."""

    def __init__(self) -> None:
        self.leap = 0.0

    @property
    def now(self) -> float:
        return time.time() + self.leap

    @now.setter
    def now(self, moment: float) -> None:
        self.leap = moment - time.time()

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.leap += seconds


@pytest.fixture(autouse=True)
def declared_errors() -> Iterator[None]:
    """No test may see an error that the model does not declare for its operation."""
    with capture_logs() as logs:
        yield
    assert [entry for entry in logs if entry["event"] == "undeclared_error"] == []


@pytest.fixture
def clock() -> RunningClock:
    return RunningClock()


@dataclass(frozen=True)
class Reply:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.json["__type"]

    @property
    def message(self) -> str:
        return self.json["Message"]


@dataclass
class Gate:
    """A gateway that listens."""

    store: Store
    gateway: Gateway
    port: int
    key: AccessKey
    settings: Settings = field(default=SETTINGS)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def issue(self, policy: str = iam.ADMINISTRATOR, name: str = "") -> AccessKey:
        """Make a user with a policy and a key; one without a name is a new one each time."""
        with self.store.transaction(REGISTRY) as tx:
            return access_keys.issue(tx, name=name or f"someone-{next(SERIAL)}", policy=policy)

    def client(self, key: AccessKey | Session | None = None, *, secret: str | None = None, region: str = REGION, token: str | None = None) -> Any:
        """Make a boto3 client that does not try twice."""
        used = key or self.key
        return SESSION.client(
            "workmail",
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=used.id,
            aws_secret_access_key=secret or used.secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
        )

    @cached_property
    def workmail(self) -> Any:
        """The administrator's client."""
        return self.client()

    def organization_of(self, alias: str = "example") -> str:
        return self.workmail.create_organization(Alias=alias)["OrganizationId"]

    def send(self, headers: Mapping[str, str], body: bytes, method: str = "POST", path: str = "/") -> Reply:
        """Send bytes as they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def signed(self, operation: str, body: bytes, key: AccessKey | None = None, headers: Mapping[str, str] | None = None) -> dict[str, str]:
        """Sign a request by hand; gives its headers."""
        used = key or self.key
        given = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"WorkMailService.{operation}",
            "Host": f"127.0.0.1:{self.port}",
        }
        request = AWSRequest("POST", f"{self.url}/", data=body, headers=given | dict(headers or {}))
        SigV4Auth(Credentials(used.id, used.secret), "workmail", REGION).add_auth(request)
        return dict(request.headers.items())

    def call(self, operation: str, params: Any, key: AccessKey | None = None) -> Reply:
        """Call an operation with any JSON at all."""
        body = params if isinstance(params, bytes) else json.dumps(params).encode()
        return self.send(self.signed(operation, body, key), body)


@pytest.fixture
def settings() -> Settings:
    """The gateway's settings."""
    return SETTINGS


@pytest.fixture
def gate(store: Store, settings: Settings) -> Iterator[Gate]:
    """The gateway on a free port, with an administrator's key."""
    with store.transaction(REGISTRY) as tx:
        key = access_keys.issue(tx, name="admin")
    gateway = Gateway(store, settings)
    server = uvicorn.Server(uvicorn.Config(gateway, port=0, log_level="critical", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    yield Gate(store, gateway, server.servers[0].sockets[0].getsockname()[1], key)
    server.should_exit = True
    thread.join()


@pytest.fixture
def workmail(gate: Gate) -> Any:
    """The administrator's boto3 client."""
    return gate.workmail


@pytest.fixture
def organization_id(gate: Gate) -> str:
    """An organization made through the API."""
    return gate.organization_of()
