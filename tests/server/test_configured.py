"""What the configuration says of organizations is written into them, and taken out again."""

from pathlib import Path

import pytest

from postroom.model.organizations import Organization
from postroom.policy import flow_rules, journaling
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.server import configuration, configured
from postroom.server.flow_settings import Organization as Part
from postroom.storage.engine import Store

TEXT = """
[hooks.scan]
url = "https://hooks.test/scan"
secret_file = "secret"
[gateways.edge]
address = "edge.test"
[organizations.example.inbound.scan]
action = "run-lambda"
hook = "scan"
wait = true
minutes = 10
fallback = "junk"
[organizations.example.inbound."no rivals"]
action = "bounce"
senders = ["Rival.test", "*.rival.test"]
destinations = ["example.test"]
message = "Go away"
[organizations.example.outbound.edge]
action = "gateway"
gateway = "edge"
destinations = ["far.test"]
[organizations.example.journal]
journal = "records@archive.test"
report = "admin@example.test"
[organizations.nobody.inbound.x]
action = "drop"
"""


def parts(text: str) -> dict[str, Part]:
    return configuration.parse(text, Path("/srv")).organizations


def rules(store: Store) -> list[Rule]:
    with store.transaction(1, write=False) as tx:
        return [rule for way in Way for rule in flow_rules.page(tx, way)]


def records(store: Store) -> journaling.Journaling | None:
    with store.transaction(1, write=False) as tx:
        return journaling.find(tx)


@pytest.fixture(autouse=True)
def test_domain(store: Store, organization: Organization) -> None:
    with store.transaction(1) as tx:
        tx.run("UPDATE domains SET test = 1 WHERE organization = :organization AND domain = 'example.postroom.test'")


def test_rules_and_journaling_are_those_of_the_configuration(store: Store) -> None:
    configured.apply(store, parts(TEXT))
    assert rules(store) == [
        Rule(
            Way.INBOUND,
            "no rivals",
            Action.BOUNCE,
            ("rival.test", "*.rival.test"),
            ("example.test",),
            "Go away",
            configured=True,
        ),
        Rule(Way.INBOUND, "scan", Action.LAMBDA, target="scan", waits=True, minutes=10, fallback=Action.JUNK, configured=True),
        Rule(Way.OUTBOUND, "edge", Action.GATEWAY, destinations=("far.test",), target="edge", configured=True),
    ]
    found = records(store)
    assert found == journaling.Journaling(
        "records@archive.test", "admin@example.test", "amazonjournaling@example.postroom.test", configured=True
    )


def test_what_is_said_no_more_goes_and_what_commands_have_made_stays(store: Store) -> None:
    mine = Rule(Way.INBOUND, "mine", Action.DROP, ("bad.test",))
    with store.transaction(1) as tx:
        flow_rules.put(tx, mine)
    configured.apply(store, parts(TEXT))
    work = configured.work(parts(TEXT))
    assert (work(store, 1), len(rules(store))) == (0, 4)
    assert configured.work({})(store, 1) == 1
    assert (rules(store), records(store)) == ([mine], None)
    assert work(store, 1) == 1
    assert len(rules(store)) == 4


def test_journaling_that_a_command_has_started_stays_without_a_word_of_the_configuration(store: Store) -> None:
    with store.transaction(1) as tx:
        journaling.start(tx, "a@archive.test", "b@archive.test")
    assert configured.work({})(store, 1) == 0
    assert records(store) is not None
    configured.apply(store, parts(TEXT))
    found = records(store)
    assert found is not None
    assert (found.journal, found.configured) == ("records@archive.test", True)
