"""boto3 against a real listener of the gateway, over a store on each engine."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError

from postroom.api.gateway import Gateway
from postroom.api.settings import Settings
from postroom.model.organizations import Organization
from postroom.policy.iam import access_keys
from postroom.storage.engine import REGISTRY, Store

ALLOW_ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


@contextmanager
def listening(application: Any) -> Iterator[str]:
    """Serve an application on a port of its own; gives its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, lifespan="off", log_config=None, ws="none"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@dataclass(frozen=True)
class Api:
    """A boto3 client bound to one organization, and the codes of its errors."""

    client: Any
    organization: Organization

    def __call__(self, operation: str, **params: Any) -> dict[str, Any]:
        answer = getattr(self.client, operation)(OrganizationId=self.organization.id, **params)
        assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 200
        return dict(answer)

    def fails(self, operation: str, **params: Any) -> str:
        """Call and give the code of the error; it must be one that the operation's model declares."""
        with pytest.raises(ClientError) as failed:
            getattr(self.client, operation)(OrganizationId=self.organization.id, **params)
        assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert failed.value.response["Message"]
        code: str = failed.value.response["Error"]["Code"]
        name = self.client.meta.method_to_api_mapping[operation]
        assert code in {shape.name for shape in self.client.meta.service_model.operation_model(name).error_shapes}
        return code


@pytest.fixture
def connect(store: Store, clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Settings], Any]]:
    """Open a gateway with settings and give a client of it."""
    import time
    from contextlib import ExitStack

    clock.now = time.time()  # type: ignore[attr-defined]
    with store.transaction(REGISTRY) as tx:
        key = access_keys.issue(tx, name="tests", policy=ALLOW_ALL)
    with ExitStack() as opened:

        def client(settings: Settings) -> Any:
            url = opened.enter_context(listening(Gateway(store, settings)))
            return boto3.client(
                "workmail",
                endpoint_url=url,
                region_name=settings.region,
                aws_access_key_id=key.id,
                aws_secret_access_key=key.secret,
                config=Config(retries={"total_max_attempts": 1}),
            )

        yield client


@pytest.fixture
def api(connect: Callable[[Settings], Any], organization: Organization) -> Api:
    """The API of the example organization."""
    return Api(connect(Settings()), organization)
