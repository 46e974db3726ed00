"""Archives put together by hand, read by Python's zipfile and by Info-ZIP."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from postroom.formats import zip as archives
from tests.interop.tools import need

MOMENT = 1_700_000_001
LETTERS = {
    "Inbox/": b"",
    "Inbox/1.eml": b"Subject: hello\r\n\r\n" + b"again and again\r\n" * 200,
    "Inbox/empty.eml": b"",
    "Größe – 日本/2.eml": random.Random(7).randbytes(768),
}


def archive(files: dict[str, bytes]) -> bytes:
    data, directory = bytearray(), []
    for name, raw in files.items():
        entry, packed = archives.pack(name, MOMENT, raw)
        directory.append(archives.listing(entry, len(data)))
        assert entry.length == len(archives.head(entry)) + len(packed)
        data += archives.head(entry) + packed
    listing = b"".join(directory)
    return bytes(data) + listing + archives.ending(len(files), len(listing), len(data))


def test_python_reads_it():
    with zipfile.ZipFile(io.BytesIO(archive(LETTERS))) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == LETTERS
        assert opened.getinfo("Inbox/").is_dir()
        assert opened.getinfo("Inbox/1.eml").date_time == (2023, 11, 14, 22, 13, 20)
        assert opened.getinfo("Inbox/1.eml").compress_size < len(LETTERS["Inbox/1.eml"]) / 10
        assert opened.getinfo("Größe – 日本/2.eml").compress_type == zipfile.ZIP_STORED


@pytest.mark.interop
def test_unzip_takes_it_out(tmp_path: Path):
    (tmp_path / "a.zip").write_bytes(archive(LETTERS))
    environment = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(
        [need("unzip", "unzip"), "-q", "a.zip"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {name: (tmp_path / name).read_bytes() for name in LETTERS if not name.endswith("/")} == {
        name: raw for name, raw in LETTERS.items() if not name.endswith("/")
    }
    assert (tmp_path / "Inbox/1.eml").stat().st_mtime == MOMENT


def test_more_entries_than_an_old_archive_could_count():
    entry, _ = archives.pack("same", MOMENT, b"")
    data, listing = archives.head(entry), archives.listing(entry, 0) * 65_536
    with zipfile.ZipFile(io.BytesIO(data + listing + archives.ending(65_536, len(listing), len(data)))) as opened:
        assert len(opened.namelist()) == 65_536


def test_what_is_packed_is_in_memory_once():
    raw = random.Random(7).randbytes(4_000_000)
    tracemalloc.start()
    try:
        archives.pack("a", MOMENT, raw)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * len(raw)
    finally:
        tracemalloc.stop()


def test_an_entry_behind_four_gigabytes(tmp_path: Path):
    """The hole before it is as large as the file system likes: nothing is written there."""
    entry, packed = archives.pack("far.eml", MOMENT, b"far away")
    offset = 5 * 2**30
    listing = archives.listing(entry, offset)
    with (tmp_path / "far.zip").open("wb") as file:
        file.seek(offset)
        data = archives.head(entry) + packed
        file.write(data + listing + archives.ending(1, len(listing), offset + len(data)))
    with zipfile.ZipFile(tmp_path / "far.zip") as opened:
        assert opened.read("far.eml") == b"far away"


@pytest.mark.parametrize(("moment", "year"), [(-5, 1980), (2**40, 2107)])
def test_times_that_do_not_fit(moment, year):
    entry, packed = archives.pack("a", moment, b"x")
    data = archives.head(entry) + packed
    listing = archives.listing(entry, 0)
    with zipfile.ZipFile(io.BytesIO(data + listing + archives.ending(1, len(listing), len(data)))) as opened:
        assert opened.getinfo("a").date_time[0] == year


def test_the_same_bytes_come_out_the_same():
    assert archive(LETTERS) == archive(dict(LETTERS))
    assert struct.unpack("<L", archive(LETTERS)[:4]) == (0x04034B50,)
