"""SQLite knows that the organization selects nothing: no everyday look-up walks a whole table by it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw
import pytest

from postroom.model.entities import Kind
from postroom.model.organizations import Organization
from postroom.storage import keys, sqlite
from postroom.storage.queries import entities, flow_rules, folders, permissions
from tests.conftest import Clock, make_organization

LOOK_UPS = {
    "a mailbox's inbox": f"SELECT {folders.COLUMNS} FROM folders WHERE organization = :organization AND mailbox = 1 AND role = 'inbox'",
    "a mailbox's folders": f"SELECT {folders.COLUMNS} FROM folders WHERE organization = :organization AND mailbox = 1 ORDER BY id",
    "a mailbox by owner": "SELECT id FROM mailboxes WHERE organization = :organization AND owner = 'x' AND parked_at IS NULL",
    "somebody's addresses": "DELETE FROM addresses WHERE organization = :organization AND entity = 'x'",
    "somebody's groups": "SELECT collective FROM members WHERE organization = :organization AND member = 'x'",
    "mailboxes open to somebody": "SELECT owner FROM mailbox_permissions WHERE organization = :organization AND grantee = 'x'",
    "a folder's items": "SELECT uid FROM items WHERE organization = :organization AND folder = 1 AND uid BETWEEN 1 AND 9",
    "a content's items": "SELECT 1 FROM items WHERE organization = :organization AND content = 1",
    "a token by what opens": "SELECT id FROM access_tokens WHERE organization = :organization AND digest = x'00'",
    "somebody's tokens": "SELECT id FROM access_tokens WHERE organization = :organization AND entity = 'x' AND id > '' ORDER BY id LIMIT 9",
    "tokens that have expired": "SELECT id FROM access_tokens WHERE organization = :organization AND expires_at <= 1 ORDER BY expires_at LIMIT 9",
    "letters of a kind": "UPDATE dmarc_rows SET count = count + 1 WHERE organization = :organization AND day = 1 AND domain = 'x' AND digest = 'x'",
    "lessons that are due": "SELECT content, spam FROM lessons WHERE organization = :organization AND due_at <= 1 ORDER BY due_at, content LIMIT 9",
    "domains of days that are over": "SELECT day, domain FROM dmarc_domains WHERE organization = :organization AND day < 9"
    " AND (day > 1 OR (day = 1 AND domain > 'x')) ORDER BY day, domain LIMIT 9",
    "what is due": "SELECT destination FROM queue_destinations WHERE organization = :organization AND due_at <= 1 ORDER BY due_at, destination LIMIT 5",
    "what is due of a destination": "SELECT id FROM queue_recipients WHERE organization = :organization AND destination = 'x' AND due_at <= 1"
    " ORDER BY due_at, notice_at, id LIMIT 5",
    "somebody's busiest hour": "SELECT MAX(busiest) FROM sending_hours WHERE organization = :organization AND entity = 'x' AND day >= 1 AND day < 9",
    "what somebody holds back": "SELECT id, destination FROM queue_recipients WHERE organization = :organization AND held_by = 'x' AND held_by <> ''"
    " AND holder = '' ORDER BY id LIMIT 9",
    "what somebody holds back, being sent or not": "SELECT id, destination FROM queue_recipients WHERE organization = :organization"
    " AND held_by = 'x' AND held_by <> '' ORDER BY id LIMIT 9",
    "hours that count no more": "SELECT entity, day FROM sending_hours WHERE organization = :organization AND day < 1 ORDER BY day LIMIT 9",
    "days that count no more": "SELECT entity, day, kind FROM sending WHERE organization = :organization AND day < 1 ORDER BY day LIMIT 9",
}


@pytest.mark.parametrize("sql", LOOK_UPS.values(), ids=LOOK_UPS.keys())
def test_a_look_up_uses_more_than_the_organization(tmp_path: Path, clock: Clock, sql: str) -> None:
    store = sqlite.open_store(tmp_path / "data", keys.LocalKeyring(tmp_path / "keyring.json"), clock)
    organization: Organization = make_organization(store)
    with store.transaction(organization.number, write=False) as tx:
        plan = [step[3] for step in tx.all("EXPLAIN QUERY PLAN " + sql)]
    store.close()
    assert plan
    assert not any(step.endswith("(organization=?)") or step.startswith("SCAN") for step in plan), plan


@pytest.mark.parametrize("kind", [Kind.GROUP, Kind.RESOURCE])
def test_the_few_groups_and_resources_are_not_looked_for_among_all_users(tmp_path: Path, clock: Clock, kind: Kind) -> None:
    lists = {Kind.GROUP: partial(entities.page, kind=kind), Kind.RESOURCE: entities.page_of_resources}
    plan = plan_of(tmp_path, clock, lists[kind], {"where": None, "after": None, "limit": 1})
    assert any("entities_by_kind" in step for step in plan), plan


@pytest.mark.parametrize(
    ("function", "values"),
    [
        (entities.reachable, {"group": "x"}),
        (permissions.reaching, {"owner": "x", "user": "x"}),
        (permissions.reachable_mailboxes, {"user": "x", "limit": 1}),
    ],
)
def test_who_belongs_together_is_found_from_one_to_the_next_not_among_everybody(
    tmp_path: Path, clock: Clock, function: Callable[..., object], values: dict[str, object]
) -> None:
    plan = plan_of(tmp_path, clock, function, values)
    assert not any(step.endswith("(organization=?)") for step in plan), plan


def test_a_statement_that_sorts_is_compiled_once_whatever_it_is_asked_for(tmp_path: Path, clock: Clock) -> None:
    store = sqlite.open_store(tmp_path / "data", keys.LocalKeyring(tmp_path / "keyring.json"), clock)
    make_organization(store)
    sizes: list[int] = []
    with store.transaction(1, write=False) as tx:
        flow_rules.page(tx, "INBOUND")
        connection = tx._session._connection  # type: ignore[attr-defined]
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, lambda event: sizes.append(event["stmt_status"]["SQLITE_STMTSTATUS_MEMUSED"]))
        for direction in ("INBOUND", "OUTBOUND") * 5:
            flow_rules.page(tx, direction)
        connection.trace_v2(0, None)
    store.close()
    assert len(sizes) == 10
    assert len(set(sizes)) == 1  # one that is compiled again has another size


def plan_of(tmp_path: Path, clock: Clock, function: Callable[..., object], values: dict[str, object]) -> list[str]:
    """Ask how SQLite would go about the one thing that a function asks of it."""
    store = sqlite.open_store(tmp_path / "data", keys.LocalKeyring(tmp_path / "keyring.json"), clock)
    make_organization(store)
    asked: list[tuple[str, dict[str, object]]] = []
    with store.transaction(1, write=False) as tx:
        all_rows = tx.all

        class Asking:
            """A transaction that notes what is asked of it."""

            def all(self, sql: str, **values: object) -> list[tuple[object, ...]]:
                asked.append((sql, values))
                return all_rows(sql, **values)

        function(Asking(), **values)
        ((sql, bound),) = asked
        plan = [step[3] for step in tx.all("EXPLAIN QUERY PLAN " + sql, **bound)]
    store.close()
    return plan
