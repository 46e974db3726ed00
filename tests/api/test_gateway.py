"""The gateway over HTTP: targets, signatures, bodies, errors."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from postroom.api.model import load
from postroom.api.operation import OPERATIONS, Answer, Call, Operation, Scope
from postroom.directory import principals, roles
from postroom.model import errors
from postroom.model.principals import KeyStatus
from postroom.policy import iam
from postroom.policy.iam import inline_policies
from postroom.storage.engine import REGISTRY
from postroom.storage.queries import leases, organizations
from tests.api.conftest import Gate, Reply

UNKNOWN = f"m-{'0' * 32}"


def at_once(*calls: Callable[[], Reply]) -> list[Reply]:
    """Make several requests at the same time."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [request.result() for request in [threads.submit(call) for call in calls]]


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)")


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> str:
    """An operation with a bug, and one that answers an error it does not declare."""

    def divide(call: Call) -> Answer:
        return {"Roles": 1 // 0}

    name = "ListImpersonationRoles"
    monkeypatch.setitem(OPERATIONS, name, Operation(name, Scope.ORGANIZATION, False, False, divide))
    return name


class TestTarget:
    def test_every_missing_operation_is_unknown(self, gate: Gate) -> None:
        for name in set(load().operations) - set(OPERATIONS):
            reply = gate.call(name, {})
            assert (reply.status, reply.code) == (400, "UnknownOperationException"), name

    @pytest.mark.parametrize(
        "target", ["", "ListUsers", "WorkMailService.", "WorkMailService.Nothing", "Other.ListUsers", "WorkMailService.ListUsers.x"]
    )
    def test_other_targets_are_unknown(self, gate: Gate, target: str) -> None:
        reply = gate.send({"X-Amz-Target": target}, b"{}")
        assert reply.code == "UnknownOperationException"

    def test_other_methods_and_paths_are_unknown(self, gate: Gate) -> None:
        headers = gate.signed("ListOrganizations", b"{}")
        assert gate.send(headers, b"{}", "PUT").code == "UnknownOperationException"
        assert gate.send(headers, b"{}", "POST", "/other").code == "UnknownOperationException"


class TestForm:
    def test_an_answer_is_aws_json(self, gate: Gate) -> None:
        reply = gate.call("ListOrganizations", {})
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/x-amz-json-1.1"
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", reply.headers["x-amzn-requestid"])
        assert reply.json == {"OrganizationSummaries": []}

    def test_so_is_an_error(self, gate: Gate) -> None:
        reply = gate.call("DescribeOrganization", {"OrganizationId": UNKNOWN})
        assert reply.status == 400
        assert reply.headers["content-type"] == "application/x-amz-json-1.1"
        assert reply.headers["x-amzn-requestid"]
        assert reply.json == {"__type": "OrganizationNotFoundException", "Message": f"The organization {UNKNOWN} does not exist."}

    def test_no_two_requests_have_one_id(self, gate: Gate) -> None:
        ids = {gate.call("ListOrganizations", {}).headers["x-amzn-requestid"] for _ in range(5)}
        assert len(ids) == 5

    def test_bad_json_is_a_serialization_error(self, gate: Gate) -> None:
        for body in (b"{", b"\xff", b"[]", b'{"MaxResults":"a"}'):
            reply = gate.call("ListOrganizations", body)
            assert (reply.status, reply.code) == (400, "SerializationException")

    def test_an_empty_body_is_an_empty_request(self, gate: Gate) -> None:
        assert gate.call("ListOrganizations", b"").status == 200
        assert gate.call("ListUsers", b"").code == "ValidationException"


class TestSignature:
    def test_none(self, gate: Gate) -> None:
        reply = gate.send({"X-Amz-Target": "WorkMailService.ListOrganizations"}, b"{}")
        assert (reply.status, reply.code, reply.message) == (400, "MissingAuthenticationTokenException", "Missing Authentication Token")

    def test_an_unknown_key(self, gate: Gate) -> None:
        key = gate.issue()
        with gate.store.transaction(REGISTRY) as tx:
            principals.delete(tx, key.id)
        with pytest.raises(ClientError, match=r"\(UnrecognizedClientException\).*The security token included in the request is invalid\."):
            gate.client(key).list_organizations()

    def test_a_wrong_secret(self, gate: Gate) -> None:
        with pytest.raises(ClientError, match=r"\(InvalidSignatureException\).*The request signature we calculated does not match"):
            gate.client(secret="x" * 40).list_organizations()

    def test_another_region(self, gate: Gate) -> None:
        with pytest.raises(ClientError, match=r"\(InvalidSignatureException\).*valid region, not 'eu-west-1'"):
            gate.client(region="eu-west-1").list_organizations()

    def test_a_session_token_with_a_permanent_key(self, gate: Gate) -> None:
        with refused("UnrecognizedClientException"):
            gate.client(token="session").list_organizations()

    def test_a_session_key_needs_its_token(self, gate: Gate) -> None:
        with gate.store.transaction(REGISTRY) as tx:
            role = roles.create(tx, name="reader", trust="{}", trusted="{}")
            inline_policies.put(tx, role.id, "reads", iam.READ_ONLY)
            key = roles.begin_session(tx, role, name="tests", seconds=900, policy=None)
        gate.client(key, token=key.token).list_organizations()
        for wrong in (None, "another"):
            with refused("UnrecognizedClientException"):
                gate.client(key, token=wrong).list_organizations()

    def test_an_old_request(self, gate: Gate, clock: Any) -> None:
        headers = gate.signed("ListOrganizations", b"{}")
        assert gate.send(headers, b"{}").status == 200
        clock.advance(302)
        reply = gate.send(headers, b"{}")
        assert (reply.status, reply.code) == (400, "InvalidSignatureException")
        assert re.fullmatch(r"Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)", reply.message)

    def test_an_unsigned_target(self, gate: Gate) -> None:
        headers = gate.signed("ListOrganizations", b"{}")
        headers["Authorization"] = headers["Authorization"].replace(";x-amz-target", "")
        assert "'X-Amz-Target' must be a 'SignedHeader'" in gate.send(headers, b"{}").message

    def test_a_swapped_body(self, gate: Gate) -> None:
        headers = gate.signed("ListOrganizations", b"{}")
        assert gate.send(headers, b'{"MaxResults":1}').code == "InvalidSignatureException"

    def test_an_inactive_key(self, gate: Gate) -> None:
        key = gate.issue()
        client = gate.client(key)
        client.list_organizations()
        with gate.store.transaction(REGISTRY) as tx:
            principals.set_status(tx, key.id, KeyStatus.INACTIVE)
        gate.gateway.forget()
        with refused("UnrecognizedClientException"):
            client.list_organizations()

    def test_the_use_of_a_key_is_noted(self, gate: Gate) -> None:
        key = gate.issue()
        gate.client(key).list_organizations()
        for _ in range(200):
            with gate.store.transaction(REGISTRY, write=False) as tx:
                found = principals.find(tx, key.id)
            if found is not None and found.last_used_at is not None:
                break
            threading.Event().wait(0.01)
        assert found is not None
        assert found.last_used_at == pytest.approx(gate.store.now(), abs=30)


class TestBounds:
    def test_a_body_over_a_megabyte(self, gate: Gate) -> None:
        body = b" " * (1024 * 1024) + b"{}"
        reply = gate.call("ListOrganizations", body)
        assert (reply.status, reply.code) == (413, "RequestEntityTooLargeException")

    def test_a_chunked_body_without_end(self, gate: Gate) -> None:
        headers = gate.signed("ListOrganizations", b"{}")
        with socket.create_connection(("127.0.0.1", gate.port), timeout=20) as connection:
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name.lower() not in ("content-length", "host"))
            connection.sendall(f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{gate.port}\r\nTransfer-Encoding: chunked\r\n{head}\r\n".encode())
            for _ in range(20):
                connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            assert b" 413 " in connection.recv(200)

    def test_a_body_of_nearly_a_megabyte(self, gate: Gate) -> None:
        assert gate.call("ListOrganizations", b" " * (1024 * 1024 - 2) + b"{}").status == 200

    def test_an_unsigned_body_is_not_read(self, gate: Gate) -> None:
        with socket.create_connection(("127.0.0.1", gate.port), timeout=20) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: WorkMailService.ListUsers\r\nContent-Length: 1000000\r\n\r\n")
            assert b" 400 " in connection.recv(200)


class TestErrors:
    def test_a_bug_is_told_by_its_id_alone(self, gate: Gate, organization_id: str, faulty: str) -> None:
        reply = gate.call(faulty, {"OrganizationId": organization_id})
        assert (reply.status, reply.code) == (500, "InternalFailure")
        assert reply.message == f"internal error {reply.headers['x-amzn-requestid']}"
        assert gate.call("ListOrganizations", {}).status == 200

    def test_the_order_of_refusals(self, gate: Gate, organization_id: str) -> None:
        nobody = gate.issue('{"Statement":{"Effect":"Allow","Action":"ses:*","Resource":"*"}}')

        def code(name: str, params: Any, key: Any = None) -> str:
            reply: Reply = gate.call(name, params, key)
            return reply.code

        assert code("Nothing", {}, nobody) == "UnknownOperationException"
        assert code("ListUsers", {}, nobody) == "AccessDeniedException"
        assert code("ListUsers", {}) == "ValidationException"
        assert code("ListUsers", {"OrganizationId": UNKNOWN}) == "OrganizationNotFoundException"
        assert code("ListUsers", {"OrganizationId": UNKNOWN}, nobody) == "AccessDeniedException"
        assert code("ListUsers", {"OrganizationId": UNKNOWN, "MaxResults": 0}) == "ValidationException"
        assert code("ListUsers", {"OrganizationId": organization_id, "NextToken": "x"}) == "InvalidParameterException"

    def test_a_store_that_cannot_write_says_try_later(self, gate: Gate, organization_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def later(call: Call) -> Answer:
            raise errors.TryLater

        name = "PutRetentionPolicy"
        monkeypatch.setitem(OPERATIONS, name, Operation(name, Scope.ORGANIZATION, True, False, later))
        params = {"OrganizationId": organization_id, "Name": "x", "FolderConfigurations": []}
        assert gate.call(name, params).status == 503


class TestConcurrency:
    def test_many_clients_at_once(self, gate: Gate, organization_id: str) -> None:
        failures: list[object] = []

        def work(number: int) -> None:
            for turn in range(10):
                reply = gate.call("CreateUser", {"OrganizationId": organization_id, "Name": f"u{number}-{turn}", "DisplayName": "x"})
                if reply.status != 200:
                    failures.append(reply)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(gate.call("ListUsers", {"OrganizationId": organization_id}).json["Users"]) == 80

    def test_a_domain_and_its_claim_come_and_go_together(self, gate: Gate, organization_id: str) -> None:
        domain = {"OrganizationId": organization_id, "DomainName": "new.test"}
        for _ in range(8):
            gate.call("RegisterMailDomain", domain)
            at_once(lambda: gate.call("DeregisterMailDomain", domain), lambda: gate.call("RegisterMailDomain", domain))
            there = gate.call("GetMailDomain", domain).status == 200
            with gate.store.transaction(REGISTRY, write=False) as tx:
                assert (organizations.find_claim(tx, "new.test") is not None) is there

    def test_the_default_domain_is_always_there(self, gate: Gate, organization_id: str) -> None:
        domain, test_domain = ({"OrganizationId": organization_id, "DomainName": name} for name in ("new.test", "example.postroom.test"))
        for _ in range(16):
            gate.call("RegisterMailDomain", domain)
            at_once(lambda: gate.call("DeregisterMailDomain", domain), lambda: gate.call("UpdateDefaultMailDomain", domain))
            shown = gate.call("ListMailDomains", {"OrganizationId": organization_id}).json["MailDomains"]
            assert [entry for entry in shown if entry["DefaultDomain"]]
            gate.call("UpdateDefaultMailDomain", test_domain)

    def test_another_process_has_its_turn(self, gate: Gate, organization_id: str) -> None:
        domain = {"OrganizationId": organization_id, "DomainName": "new.test"}
        with gate.store.transaction(REGISTRY) as tx:
            assert leases.take(tx, f"organization/{organization_id}", "another", 30)
        reply = gate.call("RegisterMailDomain", domain)
        assert (reply.status, reply.code) == (503, "ServiceUnavailableException")
        assert gate.call("ListMailDomains", {"OrganizationId": organization_id}).status == 200
        with gate.store.transaction(REGISTRY) as tx:
            leases.release(tx, f"organization/{organization_id}", "another")
        for _ in range(2):
            assert gate.call("RegisterMailDomain", domain).status == 200

    def test_a_default_domain_chosen_by_another_process_stays(self, gate: Gate, organization_id: str) -> None:
        domain = {"OrganizationId": organization_id, "DomainName": "new.test"}
        gate.call("RegisterMailDomain", domain)
        gate.call("GetMailDomain", domain)
        with gate.store.transaction(REGISTRY) as tx:
            organizations.set_default_domain(tx, organizations.get(tx, organization_id).number, "new.test")
        assert gate.call("DeregisterMailDomain", domain).code == "InvalidParameterException"

    def test_a_deletion_that_comes_twice_succeeds_twice(self, gate: Gate) -> None:
        for turn in range(6):
            request = {"OrganizationId": gate.organization_of(f"example{turn}"), "DeleteDirectory": True}
            replies = at_once(*[partial(gate.call, "DeleteOrganization", request)] * 4)
            assert [reply.json.get("State") for reply in replies] == ["Deleted"] * 4

    def test_one_name_is_given_once(self, gate: Gate, organization_id: str) -> None:
        codes: list[str] = []
        params = json.dumps({"OrganizationId": organization_id, "Name": "bob", "DisplayName": "x"}).encode()
        threads = [threading.Thread(target=lambda: codes.append(gate.call("CreateUser", params).json.get("__type", ""))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(codes) == ["", *["NameAvailabilityException"] * 7]
