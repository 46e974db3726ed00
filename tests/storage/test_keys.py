"""The local keyring: one for all, and never half of one."""

import stat
import threading
from pathlib import Path

import pytest

from postroom.model import errors
from postroom.storage.keys import LocalKeyring


def test_who_starts_at_the_same_time_has_the_same_keyring(tmp_path: Path) -> None:
    """A process with a master key that nobody kept would encrypt what nobody could read again."""
    for attempt in range(5):
        path = tmp_path / str(attempt) / "keyring.json"
        start, found = threading.Barrier(4), []

        def opening(path: Path = path, start: threading.Barrier = start, found: list[bytes] = found) -> None:
            start.wait()
            found.append(LocalKeyring(path).registry_key())

        threads = [threading.Thread(target=opening) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [LocalKeyring(path).registry_key()] * 4
        assert [file.name for file in path.parent.iterdir()] == ["keyring.json"]


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    LocalKeyring(tmp_path / "keyring.json")
    assert stat.S_IMODE((tmp_path / "keyring.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"master": 1}', '{"master": "00"}', '{"master": "gg"}'])
def test_what_is_no_keyring_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keyring.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"keyring\.json is not a keyring"):
        LocalKeyring(path)
    assert path.read_text() == text


def test_a_key_wrapped_elsewhere_or_for_another_arn_is_not_had(tmp_path: Path) -> None:
    ring, other = LocalKeyring(tmp_path / "a.json"), LocalKeyring(tmp_path / "b.json")
    key = ring.new_data_key("arn:aws:kms:us-east-1:000000000000:key/1")
    assert ring.unwrap(key.wrapped, "arn:aws:kms:us-east-1:000000000000:key/1") == key.plain
    for wrong, arn in ((ring, None), (other, "arn:aws:kms:us-east-1:000000000000:key/1")):
        with pytest.raises(errors.DirectoryUnavailable):
            wrong.unwrap(key.wrapped, arn)


def test_a_new_keyring_is_durable_before_it_is_used(tmp_path: Path, synced: list[str]) -> None:
    """What it wraps is lost with it; so first the file, then its name, then anything else."""
    LocalKeyring(tmp_path / "keyring.json")
    file, folder = synced
    assert file.startswith(str(tmp_path / ".keyring.json."))
    assert folder == str(tmp_path)
