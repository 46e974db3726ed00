"""Blobs: large ones come back whole from their files, small ones never make a file."""

import os
import secrets
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from postroom.storage.blobs import INLINE_LIMIT, RAW, ZSTD, BlobStore

KEY = b"k" * 32


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs" / "1", KEY)


def test_small_blobs_stay_in_memory(blobs: BlobStore) -> None:
    blob = blobs.prepare(b"a" * INLINE_LIMIT)
    assert blob.data == b"a" * INLINE_LIMIT
    assert blob.file is None
    assert list(blobs.files(older_than=-1)) == []


@pytest.mark.parametrize(("raw", "codec"), [(os.urandom(INLINE_LIMIT + 1), RAW), (b"the same words again " * 40_000, ZSTD)])
def test_large_blobs_come_back_whole(blobs: BlobStore, raw: bytes, codec: int) -> None:
    blob = blobs.prepare(raw)
    assert blob.codec == codec
    assert blob.file is not None
    assert blobs.read_file(blob.file, blob.codec) == raw
    assert list(blobs.files(older_than=-1)) == [blob.file]
    assert list(blobs.files(older_than=60)) == []
    blobs.remove(blob.file)
    assert list(blobs.files(older_than=-1)) == []


def test_equal_bytes_have_equal_hashes_only_under_one_key(blobs: BlobStore, tmp_path: Path) -> None:
    other = BlobStore(tmp_path / "blobs" / "2", b"o" * 32)
    assert blobs.prepare(b"one").hash == blobs.prepare(b"one").hash
    assert blobs.prepare(b"one").hash != other.prepare(b"one").hash


def test_a_damaged_file_is_noticed(blobs: BlobStore, tmp_path: Path) -> None:
    blob = blobs.prepare(os.urandom(INLINE_LIMIT + 1))
    assert blob.file is not None
    path = next(path for path in tmp_path.rglob(blob.file))
    raw = bytearray(path.read_bytes())
    raw[100] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InvalidTag):
        blobs.read_file(blob.file, blob.codec)


def test_a_file_is_durable_with_every_folder_above_it(
    blobs: BlobStore, tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the folders are there: who made them may have crashed, or be about to, before they were durable."""
    first = blobs.prepare(os.urandom(INLINE_LIMIT + 1)).file
    assert first is not None
    synced.clear()
    monkeypatch.setattr(secrets, "token_hex", lambda _: first[:2] + "0" * 30)
    again = BlobStore(tmp_path / "blobs" / "1", KEY)
    file = again._path(str(again.prepare(os.urandom(INLINE_LIMIT + 1)).file))
    assert {str(path) for path in (tmp_path, *list(file.parents)[:3], file)} <= set(synced)
    assert synced.index(str(file)) < synced.index(str(file.parent))
