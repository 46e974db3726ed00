"""Random sequences of operations against the server and against the oracle in memory: no difference.

`POSTROOM_RULES_STEPS` makes them longer or shorter; what differs is told with its seed, its step and what led to it.
"""

from __future__ import annotations

import itertools
import os
import threading
from typing import Any

import pytest

from postroom.api.model import load
from postroom.model.organizations import Organization
from postroom.storage.engine import Store
from postroom.storage.queries import entities
from tests.api.conftest import ACCOUNT, REGION, Gate
from tests.conftest import THOROUGH
from tests.rules.directory import TIME, Fault
from tests.rules.policies import World
from tests.rules.requests import Params, Requests

STEPS = int(os.environ.get("POSTROOM_RULES_STEPS", "10000" if THOROUGH else "4000"))
SEED = int(os.environ.get("POSTROOM_RULES_SEED", "1"))
MODEL = load()
NAMES = {name.lower(): name for name in MODEL.operations}
TEST_DOMAIN = "example.postroom.test"
DOMAINS = ("example.test", TEST_DOMAIN, "pending.example", "absent.example")


def world() -> World:
    """The oracle's view of the fixture `organization`."""
    return World("example.test", ("example.test", TEST_DOMAIN), TEST_DOMAIN)


def aws_name(operation: str) -> str:
    """Give the API's name of an operation in boto3's spelling."""
    return NAMES[operation.replace("_", "")]


class Caller:
    """Calls operations of one organization, walking through every page of a list."""

    def __init__(self, gate: Gate, organization: Organization, seed: int, *, alone: bool = True) -> None:
        self.gate, self.organization, self.alone = gate, organization, alone
        self.sizes = itertools.cycle([(1, 2, 3, 7, 100)[(seed + number) % 5] for number in range(5)])

    def __call__(self, operation: str, params: Params) -> tuple[str, Params]:
        """Give the code of the refusal, without `Exception`, or else the answer."""
        name = aws_name(operation)
        model = MODEL.operations[name]
        whole = {"OrganizationId": self.organization.id} if "OrganizationId" in model.inputs else {}
        if "ResourceARN" in model.inputs:
            whole["ResourceARN"] = f"arn:aws:workmail:{REGION}:{ACCOUNT}:organization/{self.organization.id}"
        whole |= params
        if not model.paged:
            return self._once(name, whole)
        whole["MaxResults"] = next(self.sizes)
        code, answer = self._once(name, whole)
        while not code and "NextToken" in answer:
            token = answer.pop("NextToken")
            code, more = self._once(name, whole | {"NextToken": token})
            if not code:
                (member,) = (key for key in more if key != "NextToken")
                assert more[member] or not self.alone, f"{name}: a token that led to nothing"
                answer = more | {member: answer[member] + more[member]}
        return code, answer

    def _once(self, name: str, params: Params) -> tuple[str, Params]:
        reply = self.gate.call(name, params)
        if reply.status == 200:
            return "", reply.json
        assert reply.status == 400, (name, params, reply.status, reply.body)
        code = reply.code.removesuffix("Exception")
        assert reply.code in MODEL.operations[name].errors | {"ValidationException", "AccessDeniedException"}, (name, params, reply.body)
        return code, {}


def plain(value: Any, key: str = "") -> Any:
    """Make answers comparable: times are there or not, lists have no order."""
    if isinstance(value, dict):
        return {name: plain(entry, name) for name, entry in value.items()}
    if isinstance(value, list):
        return sorted((plain(entry) for entry in value), key=repr)
    return TIME if key.endswith(("Date", "DateCreated", "DateModified")) else value


def expected(oracle: World, operation: str, params: Params, made: Params) -> tuple[str, Params]:
    """Ask the oracle."""
    try:
        return "", plain(getattr(oracle, operation)(made, **params))
    except Fault as fault:
        return str(fault), {}


def test_random_operations_mean_what_the_oracle_says(gate: Gate, store: Store, organization: Organization) -> None:
    oracle = world()
    requests, call = Requests(oracle, SEED, DOMAINS), Caller(gate, organization, SEED)
    steps = STEPS if store.engine == "sqlite" else STEPS // 4
    history: list[tuple[str, Params, str]] = []
    refused = 0
    for step in range(steps):
        operation, params = requests.draw()
        code, answer = call(operation, params)
        history = [*history[-40:], (operation, params, code)]
        wanted = expected(oracle, operation, params, answer)
        if wanted != (code, plain(answer)):
            told = "\n".join(f"  {name} {given} {outcome}" for name, given, outcome in history)
            pytest.fail(f"seed {SEED}, step {step}: {operation} {params}\ngave   {code} {plain(answer)}\nwanted {wanted}\nafter\n{told}")
        refused += bool(code)
    assert 0.1 < refused / steps < 0.6, "too many requests make no sense, or too few"
    with store.transaction(organization.number, write=False) as tx:
        assert entities.count_users(tx) == [one.kind for one in oracle.entities.values()].count("USER")


def test_four_callers_at_once_break_nothing(gate: Gate, store: Store, organization: Organization) -> None:
    failed: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            oracle = world()
            requests, call = Requests(oracle, seed, DOMAINS), Caller(gate, organization, seed, alone=False)
            for _ in range(STEPS // 25):
                operation, params = requests.draw()
                code, answer = call(operation, params)
                if not code:
                    expected(oracle, operation, params, answer)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(100, 104)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    require_sound(Caller(gate, organization, 0))


def require_sound(call: Caller) -> None:
    """Check what must hold whatever was done to an organization."""

    def ask(operation: str, **params: Any) -> Params:
        code, answer = call(operation, params)
        assert not code, (operation, params, code)
        return answer

    users, groups, rooms = ask("list_users")["Users"], ask("list_groups")["Groups"], ask("list_resources")["Resources"]
    everybody = {one["Id"]: one for one in (*users, *groups, *rooms)}
    assert len(everybody) == len(users) + len(groups) + len(rooms) > 0
    names = [one["Name"].casefold() for one in everybody.values()]
    assert len(set(names)) == len(names)
    domains = ask("list_mail_domains")["MailDomains"]
    assert [one["DefaultDomain"] for one in domains].count(True) == 1
    known = {one["DomainName"] for one in domains}
    seen: set[str] = set()
    for one in everybody.values():
        assert (one["State"] == "ENABLED") == ("Email" in one)
        addresses = [address.casefold() for address in ask("list_aliases", EntityId=one["Id"])["Aliases"]]
        assert len(set(addresses)) == len(addresses)
        assert not seen.intersection(addresses)
        assert {address.rpartition("@")[2] for address in addresses} <= known
        assert bool(addresses) == (one["State"] == "ENABLED")
        assert "Email" not in one or one["Email"].casefold() in addresses
        seen.update(addresses)
        for address in addresses:
            assert ask("describe_entity", Email=address)["EntityId"] == one["Id"]
    memberships = {(group["Id"], member["Id"]) for group in groups for member in ask("list_group_members", GroupId=group["Id"])["Members"]}
    assert {member for _, member in memberships} <= set(everybody)
    found = {(group["GroupId"], one) for one in everybody for group in ask("list_groups_for_entity", EntityId=one)["Groups"]}
    assert found == memberships
    for room in rooms:
        delegates = ask("list_resource_delegates", ResourceId=room["Id"])["Delegates"]
        assert {delegate["Id"] for delegate in delegates} <= set(everybody)
        assert delegates or ask("describe_resource", ResourceId=room["Id"])["BookingOptions"]["AutoAcceptRequests"]
