"""Access keys of earlier versions go on working, and none may do more than before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from postroom.directory import principals
from postroom.policy import iam
from postroom.policy.iam import signers
from postroom.storage import dialect, migrations
from postroom.storage.engine import REGISTRY, Store, Tx

NARROW = iam.READ_ONLY
OLD = [
    ("AKIA" + "A" * 16, "ann", "Active", NARROW, 1.0),
    ("AKIA" + "B" * 16, "ann", "Active", iam.ADMINISTRATOR, 2.0),
    ("AKIA" + "C" * 16, "Ann", "Active", NARROW, 3.0),
    ("AKIA" + "D" * 16, "ann", "Inactive", NARROW, 4.0),
    ("AKIA" + "E" * 16, "x" * 64, "Active", NARROW, 5.0),
    ("AKIA" + "F" * 16, "x" * 64, "Active", iam.ADMINISTRATOR, 5.0),
]
FILE = Path(migrations.__file__).parent / "schema" / "registry"


def statements(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [part for part in "\n".join(lines).split(";") if part.strip()]


@pytest.fixture
def migrated(store: Store) -> Iterator[Tx]:
    """The registry as an earlier version left it, brought up."""
    tables = ("iam_users", "iam_access_keys", "iam_policies", "iam_roles", "iam_sessions")
    before = statements((FILE / "0002_principals.sql").read_text())[0]
    with store.transaction(REGISTRY) as tx:
        for sql in [*(f"DROP TABLE {table}" for table in tables), dialect.schema(store.engine, before)]:
            tx.run(sql)
        for key_id, name, status, policy, at in OLD:
            tx.run(
                "INSERT INTO access_keys (id, secret, name, status, policy, created_at) VALUES (:id, :secret, :name, :status, :policy, :at)",
                id=key_id,
                secret=key_id.lower(),
                name=name,
                status=status,
                policy=policy,
                at=at,
            )
        for sql in statements(dialect.schema(store.engine, (FILE / "0004_iam.sql").read_text())):
            tx.run(sql)
        yield tx


def test_every_key_signs_as_before(migrated: Tx) -> None:
    for key_id, _, status, policy, at in OLD:
        key = principals.get(migrated, key_id)
        assert (key.secret, key.status, key.created_at) == (key_id.lower(), status, at)
        found = signers.find(migrated, key_id)
        assert (found is not None) is (status == "Active")
        if found is not None:
            assert iam.decide(found.policy, "workmail:ListUsers", "*", {}).allowed
            assert iam.decide(found.policy, "workmail:CreateUser", "*", {}).allowed is (policy == iam.ADMINISTRATOR)


def test_keys_of_one_name_and_policy_are_of_one_user(migrated: Tx) -> None:
    names = {key.id[-1]: key.name for key in principals.page(migrated)}
    assert names == {
        "A": "ann",
        "B": f"ann.{OLD[1][0]}",
        "C": "ann",
        "D": "ann",
        "E": "x" * 64,
        "F": f"{'x' * 43}.{OLD[5][0]}",
    }
    for name in set(names.values()):
        user = principals.get_user(migrated, name)
        assert user.id.startswith("AIDA")
