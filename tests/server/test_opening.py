"""One embedded store, one server."""

import subprocess
import sys
from pathlib import Path

import pytest

from postroom.server import opening
from postroom.server.configuration import ConfigurationError, complete
from postroom.server.settings import Settings, Storage
from postroom.storage.engine import REGISTRY
from postroom.storage.keys import LocalKeyring
from tests.conftest import ENGINES, make_organization

HOLD = (
    "import sys; from postroom.server import opening; from postroom.server.settings import Settings;"
    " opening.serve_alone(Settings(data=sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


def test_a_second_server_is_refused_and_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path))
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(ConfigurationError, match="already serves"):
        opening.serve_alone(settings)
    holder.kill()
    holder.communicate()
    opening.serve_alone(settings)


def test_a_keyring_that_is_gone_is_missed_not_replaced(tmp_path: Path) -> None:
    settings = complete(Settings(data="data"), tmp_path)
    opening.open_store(settings).close()
    (tmp_path / "data" / "keyring.json").rename(tmp_path / "copy")
    with pytest.raises(ConfigurationError, match=r"keyring\.json is gone"):
        opening.open_store(settings)
    assert not (tmp_path / "data" / "keyring.json").exists()
    (tmp_path / "copy").rename(tmp_path / "data" / "keyring.json")
    opening.open_store(settings).close()


@pytest.mark.skipif("postgresql" not in ENGINES, reason="no PostgreSQL")
def test_the_keyring_of_data_in_postgresql_is_missed_too(tmp_path: Path, postgres_dsn: str) -> None:
    settings = complete(Settings(data="data", storage=Storage(engine="postgresql", dsn=postgres_dsn)), tmp_path)
    store = opening.open_store(settings)
    make_organization(store)
    store.close()
    ring = tmp_path / "data" / "keyring.json"
    ring.rename(tmp_path / "copy")
    with pytest.raises(ConfigurationError, match=r"keyring\.json is gone"):
        opening.open_store(settings)
    assert not ring.exists()
    LocalKeyring(ring)
    with pytest.raises(ConfigurationError, match=r"keyring\.json is another"):
        opening.open_store(settings)
    (tmp_path / "copy").rename(ring)
    opening.open_store(settings).close()


def test_what_cannot_be_opened_is_said_in_one_line(tmp_path: Path) -> None:
    settings = complete(Settings(data="data"), tmp_path)
    opening.open_store(settings).close()
    ring = tmp_path / "data" / "keyring.json"
    ring.unlink()
    LocalKeyring(ring)
    elsewhere = complete(Settings(data="/proc/nowhere"), tmp_path)
    database = complete(Settings(storage=Storage(engine="postgresql", dsn="host=127.0.0.1 port=1"), data="other"), tmp_path)
    for wrong, said in ((settings, "Is the keyring the one"), (elsewhere, "data: .*/proc/nowhere"), (database, "dsn: connection")):
        with pytest.raises(ConfigurationError, match=said) as refused:
            opening.open_store(wrong)
        assert "\n" not in str(refused.value)
    ring.write_text("{")
    with pytest.raises(ConfigurationError, match="is not a keyring"):
        opening.open_store(settings)


def test_data_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    settings = complete(Settings(data="data"), tmp_path)
    store = opening.open_store(settings)
    with store.transaction(REGISTRY) as tx:
        tx.run("INSERT INTO migrations VALUES ('registry/9999_future.sql')")
    store.close()
    with pytest.raises(ConfigurationError, match=r"newer version of Postroom .*9999_future\.sql"):
        opening.open_store(settings)
