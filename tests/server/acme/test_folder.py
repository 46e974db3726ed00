"""What is written below `data/acme`: whole, for the owner alone, one pair a name."""

import os
import ssl

import pytest

from postroom.server import certificates
from postroom.server.acme.folder import STALE_SECONDS, Folder


def pair(folder, name):
    made = certificates.local(folder, [name])
    return made.certificate.read_bytes(), made.key.read_bytes()


def test_a_pair_that_does_not_belong_together_leaves_the_old_one(tmp_path):
    folder = Folder(tmp_path / "data")
    first, second = pair(tmp_path / "one", "a.test"), pair(tmp_path / "two", "a.test")
    folder.install("a.test", *first)
    for chain, key in ((second[0], first[1]), (b"", second[1]), (second[0], b"")):
        with pytest.raises((ssl.SSLError, OSError)):
            folder.install("a.test", chain, key)
        assert folder.files("a.test").certificate.read_bytes() == first[0]
    folder.install("a.test", *second)
    folder.install("b.test", *first)
    assert [folder.files(name).key.read_bytes() for name in ("a.test", "b.test")] == [second[1], first[1]]
    assert [len(list(path.iterdir())) for path in sorted((tmp_path / "data/acme/issued").iterdir())] == [1, 1]
    folder.remove("a.test")
    assert folder.files("a.test") is None
    assert [path.name for path in (tmp_path / "data/acme/issued").iterdir()] == ["b.test"]


def test_challenges_that_nobody_withdrew_are_swept(tmp_path):
    folder = Folder(tmp_path)
    folder.pose("old", b"1")
    folder.pose("new", b"2")
    past = folder.posed("old").stat().st_mtime - STALE_SECONDS - 1
    os.utime(folder.posed("old"), (past, past))
    folder.sweep()
    assert [path.name for path in (tmp_path / "acme" / "challenges").iterdir()] == ["new"]
    folder.withdraw("new")
    folder.withdraw("new")
