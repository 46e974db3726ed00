"""Journals: whole lines, files of a size, disks that do not take them, several writers, readers beside them."""

import json
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from postroom.server.journals import journal
from postroom.server.journals.journal import Journal, Settings


def render(record: Any) -> bytes:
    return json.dumps(record).encode()


@contextmanager
def writing(folder: Path, settings: Settings | None = None, render: Callable[[Any], bytes] = render) -> Iterator[Journal]:
    opened = Journal(folder, "work", settings or Settings(), render)
    opened.start()
    yield opened
    opened.close(10.0)


def read(folder: Path) -> list[Any]:
    return [json.loads(line) for line in journal.lines(folder, "work")]


def test_all_is_written_before_it_is_closed_and_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    with writing(folder) as log:
        assert all(log.put(number) for number in range(5000))
    assert read(folder) == list(range(5000))
    assert stat.S_IMODE((folder / "work.jsonl").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_full_file_is_closed_and_the_oldest_are_removed(tmp_path: Path) -> None:
    for start in range(0, 60, 10):
        with writing(tmp_path, Settings(file_bytes=20, files=2)) as log:
            for number in range(start, start + 10):
                log.put(f"{number:08d}")
    assert len(journal.closed_files(tmp_path, "work")) == 2
    assert read(tmp_path) == [f"{number:08d}" for number in range(40, 60)]


def test_a_file_that_cannot_be_closed_has_no_line_twice(tmp_path: Path) -> None:
    (tmp_path / "work-20000101T000000Z-00000.jsonl").mkdir()  # an old file that cannot be removed
    with capture_logs() as said, writing(tmp_path, Settings(file_bytes=20, files=1)) as log:
        for number in range(10):
            log.put(number)
    assert [int(line) for path in tmp_path.iterdir() if path.is_file() for line in path.read_text().splitlines()] == list(range(10))
    assert [entry["event"] for entry in said] == ["journal_file_not_closed"]


def test_a_line_cut_short_by_a_crash_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "work.jsonl").write_bytes(b'"first"\n"cut of')
    with writing(tmp_path) as log:
        log.put("next")
    assert (tmp_path / "work.jsonl").read_bytes() == b'"first"\n"cut of\n"next"\n'


def test_two_programs_write_whole_lines_into_files_that_both_close(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from postroom.server.journals.journal import Journal, Settings\n"
        "log = Journal(pathlib.Path(sys.argv[1]), 'work', Settings(file_bytes=2000, files=10_000), lambda record: record)\n"
        "log.start()\n"
        "import time\n"
        "for number in range(40):\n"
        "    [log.put(b'\"%s %d %d\"' % (sys.argv[2].encode(), number, at)) for at in range(20)]; time.sleep(0.01)\n"
        "log.close(20)\n"
    )
    ours = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name]) for name in ("a", "b")]
    assert [one.wait() for one in ours] == [0, 0]
    found = read(tmp_path)
    assert sorted(found) == sorted(f"{name} {number} {at}" for name in "ab" for number in range(40) for at in range(20))
    assert journal.closed_files(tmp_path, "work")


@pytest.mark.skipif(os.geteuid() != 0, reason="a folder that nobody may write to needs another user than root, or a limit")
def test_what_a_disk_does_not_take_waits_and_is_whole_in_the_end(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = 30_000
    (tmp_path / "work.jsonl").write_bytes(b'"x"\n' * (size // 4))
    with capture_logs() as logs, writing(tmp_path, Settings(queued=50)) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
        try:
            log.put("a long one that does not fit into what is left")
            _wait(lambda: any(entry["event"] == "journal_not_written" for entry in logs))
            assert (tmp_path / "work.jsonl").stat().st_size == size
            taken = sum(log.put(number) for number in range(100))
            assert taken == 50
            assert log.crowded
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        _wait(lambda: any(entry["event"] == "journal_written_again" for entry in logs))
    assert read(tmp_path)[size // 4 :] == ["a long one that does not fit into what is left", *range(50)]


def test_a_disk_that_never_takes_it_is_not_waited_for_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    log = Journal(tmp_path / "file", "work", Settings(), render)
    log.start()
    log.put(1)
    with capture_logs() as logs:
        log.close(10.0)
    assert ("journal_cut_short", 1) in [(entry["event"], entry.get("lost")) for entry in logs]


def test_a_record_that_cannot_be_rendered_is_left_out(tmp_path: Path) -> None:
    with capture_logs() as logs, writing(tmp_path) as log:
        for record in (1, object(), 2):
            log.put(record)
    assert read(tmp_path) == [1, 2]
    assert [entry["event"] for entry in logs] == ["record_not_rendered"]


def test_a_reader_sees_each_line_once_while_files_are_closed(tmp_path: Path) -> None:
    with writing(tmp_path, Settings(file_bytes=8)) as log:
        log.put("first")
        _wait(lambda: journal.closed_files(tmp_path, "work"))
    with writing(tmp_path) as log:
        log.put("second")
    reader = journal.lines(tmp_path, "work")
    assert next(reader) == b'"first"\n'
    (tmp_path / "work.jsonl").rename(tmp_path / "work-99990101T000000Z-00000.jsonl")
    assert list(reader) == [b'"second"\n']


def _wait(check: Callable[[], Any]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if check():
            return
        pause.wait(0.01)
    raise AssertionError("nothing happened")
