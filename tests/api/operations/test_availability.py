"""Availability configurations by boto3."""

import datetime
import threading
from collections.abc import Callable
from typing import Any

import pytest

from postroom.api.operation import Facilities
from postroom.api.settings import Settings
from postroom.directory import availability
from postroom.model.availability import EwsProvider, LambdaProvider, Provider
from postroom.model.organizations import Organization
from postroom.storage.engine import Store

from .conftest import Api

PASSWORD = "Geheim-ÿ-77"
EWS = {"EwsEndpoint": "https://ews.other.test/EWS/Exchange.asmx", "EwsUsername": "LAB\\postroom", "EwsPassword": PASSWORD}
LAMBDA = {"LambdaArn": "arn:aws:lambda:us-east-1:123456789012:function:availability:live"}
SHOWN = {"EwsEndpoint": EWS["EwsEndpoint"], "EwsUsername": EWS["EwsUsername"]}


def listed(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api("list_availability_configurations")["AvailabilityConfigurations"]
    return found


@pytest.mark.effect("DeleteAvailabilityConfiguration", "ListAvailabilityConfigurations")
def test_a_configuration_comes_changes_and_goes(api: Api, clock: Any) -> None:
    assert listed(api) == []
    api("create_availability_configuration", DomainName="Other.test", EwsProvider=EWS)
    [first] = listed(api)
    made = first.pop("DateCreated")
    assert isinstance(made, datetime.datetime)
    assert first.pop("DateModified") == made
    assert first == {"DomainName": "other.test", "ProviderType": "EWS", "EwsProvider": SHOWN}
    clock.advance(60)
    api("update_availability_configuration", DomainName="OTHER.test", LambdaProvider=LAMBDA)
    [second] = listed(api)
    assert second.pop("DateCreated") == made
    assert second.pop("DateModified") >= made + datetime.timedelta(seconds=60)
    assert second == {"DomainName": "other.test", "ProviderType": "LAMBDA", "LambdaProvider": LAMBDA}
    for _ in range(2):
        api("delete_availability_configuration", DomainName="other.TEST")
    assert listed(api) == []
    assert api.fails("update_availability_configuration", DomainName="other.test", EwsProvider=EWS) == "ResourceNotFoundException"


def test_exactly_one_provider(api: Api) -> None:
    api("create_availability_configuration", DomainName="other.test", EwsProvider=EWS)
    for given in ({}, {"EwsProvider": EWS, "LambdaProvider": LAMBDA}):
        assert api.fails("create_availability_configuration", DomainName="new.test", **given) == "InvalidParameterException"
        assert api.fails("update_availability_configuration", DomainName="other.test", **given) == "InvalidParameterException"
    for given in ({}, {"EwsProvider": EWS, "LambdaProvider": LAMBDA}, {"DomainName": "other.test", "EwsProvider": EWS}):
        assert api.fails("test_availability_configuration", **given) == "InvalidParameterException"


def test_a_domain_has_one_and_ones_own_has_none(api: Api) -> None:
    api("create_availability_configuration", DomainName="other.test", EwsProvider=EWS)
    for domain in ("OTHER.test", "example.test", "Example.postroom.test"):
        assert api.fails("create_availability_configuration", DomainName=domain, LambdaProvider=LAMBDA) == "NameAvailabilityException"
    for domain in ("single", "a..b", "10.0.0.1"):
        assert api.fails("create_availability_configuration", DomainName=domain, LambdaProvider=LAMBDA) == "InvalidParameterException"


@pytest.mark.parametrize(
    "change",
    [
        {"EwsEndpoint": "http://ews.other.test/EWS/Exchange.asmx"},
        {"EwsEndpoint": "https://ews.other.test/a b"},
        {"EwsEndpoint": "https://ews.other.test/\r"},
        {"EwsEndpoint": "https://ews.other.test/ä"},
        {"EwsEndpoint": "https://ews.other.test:99999/"},
        {"EwsEndpoint": "https://ews.other.test:0/"},
        {"EwsUsername": "a:b"},
    ],
)
def test_what_can_never_be_asked(api: Api, change: dict[str, str]) -> None:
    assert api.fails("create_availability_configuration", DomainName="other.test", EwsProvider=EWS | change) == "InvalidParameterException"
    assert api.fails("test_availability_configuration", EwsProvider=EWS | change) == "InvalidParameterException"
    assert listed(api) == []


def test_the_password_is_sealed_and_comes_back_to_the_provider_alone(api: Api, store: Store) -> None:
    api("create_availability_configuration", DomainName="other.test", EwsProvider=EWS)
    with store.transaction(api.organization.number) as tx:
        rows = tx.all("SELECT * FROM availability_configurations WHERE organization = :organization")
        assert PASSWORD.encode() not in b"".join(bytes(value) for value in rows[0] if isinstance(value, bytes | memoryview))
        assert PASSWORD not in repr(rows)
        found = availability.get(tx, "other.test")
    assert found.provider == EwsProvider(EWS["EwsEndpoint"], EWS["EwsUsername"], PASSWORD)
    assert PASSWORD not in repr(found)


def test_pages_and_the_limit(api: Api, store: Store) -> None:
    with store.transaction(api.organization.number) as tx:
        for number in range(999):
            availability.create(tx, f"d{number:03}.test", LambdaProvider(LAMBDA["LambdaArn"]))
    api("create_availability_configuration", DomainName="last.test", LambdaProvider=LAMBDA)
    assert api.fails("create_availability_configuration", DomainName="more.test", LambdaProvider=LAMBDA) == "LimitExceededException"
    first = api("list_availability_configurations", MaxResults=100)
    second = api("list_availability_configurations", MaxResults=1, NextToken=first["NextToken"])
    assert [one["DomainName"] for one in second["AvailabilityConfigurations"]] == ["d100.test"]


def test_a_token_repeated_is_answered_once(api: Api) -> None:
    for _ in range(2):
        api("create_availability_configuration", DomainName="other.test", EwsProvider=EWS, ClientToken="one")
    assert len(listed(api)) == 1


def test_a_stored_or_a_given_provider_is_tried(connect: Callable[[Settings], Any], organization: Organization, store: Store) -> None:
    tried: list[tuple[Provider, bytes, bool]] = []

    def probe(provider: Provider, question: bytes) -> str:
        tried.append((provider, question, threading.current_thread() is threading.main_thread()))
        with store.transaction(organization.number):  # no transaction is open meanwhile, or this would wait for ever
            pass
        return "" if isinstance(provider, LambdaProvider) else "The endpoint refuses the user name or the password."

    api = Api(connect(Settings(facilities=Facilities(probe=probe))), organization)
    api("create_availability_configuration", DomainName="other.test", EwsProvider=EWS)
    refused = {"TestPassed": False, "FailureReason": "The endpoint refuses the user name or the password."}
    assert api("test_availability_configuration", DomainName="Other.test") == refused
    assert api("test_availability_configuration", EwsProvider=EWS) == refused
    assert api("test_availability_configuration", LambdaProvider=LAMBDA) == {"TestPassed": True}
    assert api.fails("test_availability_configuration", DomainName="unknown.test") == "ResourceNotFoundException"
    ews = EwsProvider(EWS["EwsEndpoint"], EWS["EwsUsername"], PASSWORD)
    assert [provider for provider, *_ in tried] == [ews, ews, LambdaProvider(LAMBDA["LambdaArn"])]
    assert b'"mailboxes": ["availability-test@Other.test"]' in tried[0][1]
    assert organization.id.encode() in tried[0][1]


def test_without_the_program_nobody_is_asked(api: Api) -> None:
    assert api("test_availability_configuration", LambdaProvider=LAMBDA)["TestPassed"] is False
