"""What is asked of the kept MTA-STS policies walks an index, however many there are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from postroom.storage import keys, sqlite
from postroom.storage.engine import REGISTRY
from postroom.storage.queries import sts_policies
from tests.conftest import Clock


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda tx: sts_policies.find(tx, "far.test"), "sqlite_autoindex_sts_policies_1"),
        (lambda tx: sts_policies.claim(tx, used_after=0, again_at=1, limit=9), "sts_policies_by_refresh"),
        (lambda tx: sts_policies.purge(tx, limit=9), "sts_policies_by_expiry"),
        (lambda tx: sts_policies.shrink(tx, most=-1), "sts_policies_by_use"),
    ],
    ids=["a domain's", "what is due", "what has expired", "what was not used for longest"],
)
def test_an_index_leads_there(tmp_path: Path, clock: Clock, ask: Callable[[object], object], index: str) -> None:
    store = sqlite.open_store(tmp_path / "data", keys.LocalKeyring(tmp_path / "keyring.json"), clock)
    plans: list[str] = []
    with store.transaction(REGISTRY) as tx:

        class Asking:
            """A transaction that notes how what is asked of it is found."""

            now = tx.now

            def one(self, sql: str, **values: object) -> object:
                plans.extend(step[3] for step in tx.all("EXPLAIN QUERY PLAN " + sql, **values))
                return tx.one(sql, **values)

            def all(self, sql: str, **values: object) -> object:
                plans.extend(step[3] for step in tx.all("EXPLAIN QUERY PLAN " + sql, **values))
                return tx.all(sql, **values)

            def run(self, sql: str, **values: object) -> int:
                self.all(sql, **values)
                return 0

        ask(Asking())
    store.close()
    assert any(index in step for step in plans), plans
    assert not any("TEMP B-TREE" in step for step in plans), plans
