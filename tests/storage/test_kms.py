"""Organizations whose data keys are wrapped by AWS KMS, as moto offers it over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core.exceptions import JsonRESTError
from moto.kms.models import KmsBackend
from moto.server import ThreadedMotoServer

from postroom.api.settings import Settings as ApiSettings
from postroom.aws.clients import Aws
from postroom.aws.keys import KeyService
from postroom.aws.settings import Settings
from postroom.directory import organizations, users
from postroom.jobs import keys as rechecking
from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.server import opening
from postroom.server.configuration import ConfigurationError, parse
from postroom.storage import kms
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.keys import LocalKeyring
from postroom.storage.kms import MARK, ServiceKeys
from tests.api.operations.conftest import Api, connect

__all__ = ["connect"]
REGION = "us-east-1"
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("decrypt", "generate_data_key"):
            patch.setattr(KmsBackend, name, refusing_disabled(getattr(KmsBackend, name)))
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


def refusing_disabled(method: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse disabled keys as AWS does, which moto forgets."""

    def asked(self: KmsBackend, *args: Any, **kwargs: Any) -> Any:
        answer = method(self, *args, **kwargs)
        arn = answer[-1]
        if not self.keys[arn.rpartition("/")[2]].enabled:
            raise JsonRESTError("DisabledException", f"{arn} is disabled.")
        return answer

    return asked


@dataclass
class Vault:
    """KMS, with one key in it."""

    client: Any
    key: str
    service: KeyService

    def disable(self) -> None:
        self.client.disable_key(KeyId=self.key.rpartition("/")[2])

    def enable(self) -> None:
        self.client.enable_key(KeyId=self.key.rpartition("/")[2])


def service_at(endpoint: str) -> KeyService:
    return KeyService(Aws(Settings(enabled=True, access_key_id="key", secret_access_key="secret", endpoint=endpoint), REGION))


@pytest.fixture
def vault(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """KMS, of which nothing is remembered."""
    monkeypatch.setattr(kms, "REMEMBERED_SECONDS", 0.0)
    monkeypatch.setattr(kms, "REFUSED_SECONDS", 0.0)
    client = boto3.client("kms", endpoint_url=endpoint, region_name=REGION, aws_access_key_id="key", aws_secret_access_key="secret")
    return Vault(client, client.create_key()["KeyMetadata"]["Arn"], service_at(endpoint))


@pytest.fixture
def local(store: Store) -> Organization:
    """An organization made before there was a key service, under an ARN that meant nothing."""
    return organizations.create(store, alias="local", key_arn="arn:aws:kms:us-east-1:123456789012:key/nothing")


@pytest.fixture
def sealed(store: Store, local: Organization, vault: Vault) -> Organization:
    """An organization under the key."""
    store.keys = ServiceKeys(store.keys, vault.service)  # type: ignore[misc]
    return organizations.create(store, alias="sealed", key_arn=vault.key)


def hire(store: Store, organization: Organization, name: str) -> str:
    with store.transaction(organization.number) as tx:
        return users.create(tx, name=name, display_name=name).id


def wrapped(store: Store, organization: Organization) -> bytes:
    with store.transaction(REGISTRY, write=False) as tx:
        return tx.one("SELECT wrapped_key FROM organizations WHERE number = :number", number=organization.number)[0]


def test_the_key_is_wrapped_by_the_service_and_asked_for_when_the_organization_is_opened(store, sealed, local, vault):
    data_key = wrapped(store, sealed)
    plain = vault.client.decrypt(CiphertextBlob=data_key.removeprefix(MARK), EncryptionContext={"postroom": "organization"})["Plaintext"]
    assert store.keys.unwrap(data_key, vault.key) == plain
    assert len(plain) == 32
    assert not wrapped(store, local).startswith(MARK)
    hire(store, sealed, "alice")
    rechecking.ask_again(store, sealed.number)
    hire(store, sealed, "bob")
    hire(store, local, "carol")


def test_a_disabled_key_closes_its_organization_alone(store, sealed, local, vault):
    hire(store, sealed, "alice")
    vault.disable()
    rechecking.ask_again(store, sealed.number)
    with pytest.raises(errors.TryLater, match=f"The organization's key {vault.key} cannot be used: .*disabled"):
        hire(store, sealed, "bob")
    hire(store, local, "carol")
    vault.enable()
    hire(store, sealed, "bob")


def test_what_the_service_said_is_remembered(store, sealed, vault, monkeypatch):
    monkeypatch.setattr(kms, "REMEMBERED_SECONDS", 300.0)
    rechecking.ask_again(store, sealed.number)
    hire(store, sealed, "alice")
    vault.disable()
    rechecking.ask_again(store, sealed.number)
    hire(store, sealed, "bob")


def test_a_refusal_is_remembered_too(store, sealed, vault, monkeypatch):
    """So that a service which refuses is not asked with each letter."""
    monkeypatch.setattr(kms, "REFUSED_SECONDS", 300.0)
    vault.disable()
    data_key = wrapped(store, sealed)
    with pytest.raises(errors.TryLater):
        store.keys.unwrap(data_key, vault.key)
    vault.enable()
    with pytest.raises(errors.TryLater):
        store.keys.unwrap(data_key, vault.key)


def test_a_key_that_may_not_be_used_makes_no_organization(store, sealed, vault):
    stranger = vault.key.rpartition("/")[0] + "/00000000-0000-0000-0000-000000000000"
    with pytest.raises(errors.InvalidParameter, match="cannot be used: .*NotFoundException"):
        organizations.create(store, alias="other", key_arn=stranger)
    store.keys = ServiceKeys(store.keys, service_at(NOWHERE))
    with pytest.raises(errors.DirectoryUnavailable, match="Could not connect"):
        organizations.create(store, alias="other", key_arn=vault.key)
    with store.transaction(REGISTRY, write=False) as tx:
        assert [one.alias for one in organizations.page(tx, after=0, limit=10)] == ["local", "sealed"]


@pytest.mark.parametrize(("service", "words"), [(None, "not set up to ask"), (service_at(NOWHERE), "Could not connect")])
def test_a_service_that_does_not_answer(store, sealed, local, tmp_path, service, words):
    store.keys = ServiceKeys(LocalKeyring(tmp_path / "keyring.json"), service)
    store.reopen(sealed.number)
    with pytest.raises(errors.TryLater, match=words):
        hire(store, sealed, "alice")
    hire(store, local, "carol")


def test_a_service_that_stands_still_holds_few_threads(store, sealed, vault, monkeypatch):
    monkeypatch.setattr(kms, "WAIT_SECONDS", 0.01)
    began, end = threading.Semaphore(0), threading.Event()

    class StandingStill:
        def generate(self, key_arn: str) -> tuple[bytes, bytes]:
            raise NotImplementedError

        def decrypt(self, wrapped: bytes, key_arn: str) -> bytes:
            began.release()
            assert end.wait(60)
            return vault.service.decrypt(wrapped, key_arn)

    keys, data_key = ServiceKeys(store.keys, StandingStill()), wrapped(store, sealed)
    with ThreadPoolExecutor(kms.ASKED_AT_ONCE) as threads:
        waiting = [threads.submit(keys.unwrap, data_key, vault.key) for _ in range(kms.ASKED_AT_ONCE)]
        for _ in waiting:
            assert began.acquire(timeout=60)
        with pytest.raises(errors.TryLater, match="does not answer"):
            keys.unwrap(data_key, vault.key)
        end.set()
        assert {len(one.result()) for one in waiting} == {32}
    assert len(keys.unwrap(data_key, vault.key)) == 32


def test_the_api_says_what_is_the_matter(store, sealed, local, vault, connect):
    client = connect(ApiSettings())
    vault.disable()
    store.reopen(sealed.number)
    with pytest.raises(client.exceptions.ClientError, match="ServiceUnavailableException.*disabled"):
        client.list_users(OrganizationId=sealed.id)
    assert client.describe_organization(OrganizationId=sealed.id)["State"] == "Active"
    assert Api(client, local)("list_users")["Users"] == []
    with pytest.raises(client.exceptions.InvalidParameterException, match="cannot be used"):
        client.create_organization(Alias="other", KmsKeyArn=vault.key)


def test_the_server_starts_while_an_organization_cannot_be_opened(tmp_path: Path, endpoint: str, vault: Vault):
    aws = f'[aws]\nenabled = true\nendpoint = "{endpoint}"\naccess_key_id = "key"\nsecret_access_key = "secret"\n'
    settings = parse(f'data = "data"\n[keys]\nkms = true\n{aws}', tmp_path)
    store = opening.open_store(settings)
    made = organizations.create(store, alias="sealed", key_arn=vault.key)
    assert wrapped(store, made).startswith(MARK)
    store.close()
    vault.disable()
    again = opening.open_store(settings)
    with pytest.raises(errors.TryLater):
        again.blobs(made.number)
    again.close()
    with pytest.raises(ConfigurationError, match=r"\[keys\] kms needs \[aws\] enabled"):
        opening.open_store(parse('data = "data"\n[keys]\nkms = true', tmp_path))
