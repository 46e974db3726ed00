"""The pipe: what is told arrives, what does not arrive is missed, and nobody waits."""

import os
import queue
import select
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from postroom.storage import pipe
from postroom.storage.pipe import Pipe

MISSED = b"(missed)"
SEND = "import sys, pathlib; from postroom.storage.pipe import Pipe; Pipe(pathlib.Path(sys.argv[1])).send(b'%d' % 7)"


class Listener:
    """A pipe that is listened to; what it hears, and when it has missed something, in order."""

    def __init__(self, folder: Path) -> None:
        self.pipe = Pipe(folder)
        self.stands = threading.Event()
        self.go_on = threading.Event()
        self._heard: queue.Queue[bytes] = queue.Queue()
        self.pipe.listen(self.hear, lambda: self._heard.put(MISSED))
        assert self.next() == MISSED  # what came before

    def hear(self, line: bytes) -> None:
        if line == b"nonsense":
            raise ValueError("nonsense")
        if line == b"stand still":
            self.stands.set()
            self.go_on.wait(20)
        self._heard.put(line)

    def next(self) -> bytes:
        return self._heard.get(timeout=20)

    def until(self, line: bytes) -> list[bytes]:
        """Give all that is heard up to a line."""
        heard = [self.next()]
        while heard[-1] != line:
            heard.append(self.next())
        return heard


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    made = Listener(tmp_path)
    yield made
    made.pipe.close()


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[int]:
    """The listener's end of a pipe at which nobody reads."""
    os.mkfifo(tmp_path / "changes", 0o600)
    descriptor = os.open(tmp_path / "changes", os.O_RDWR | os.O_NONBLOCK)
    yield descriptor
    os.close(descriptor)


def test_lines_of_another_process_are_heard_in_order_and_only_its_user_may_send(listener: Listener, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", SEND, str(tmp_path)], check=True)
    lines = [b"%d" % number * 1000 for number in range(10)]
    for line in lines:
        Pipe(tmp_path).send(line)
    assert listener.until(lines[-1]) == [b"7", *lines]
    mode = (tmp_path / "changes").stat().st_mode
    assert (stat.S_ISFIFO(mode), stat.S_IMODE(mode)) == (True, 0o600)


def test_where_nobody_listens_nobody_is_told(tmp_path: Path) -> None:
    Pipe(tmp_path).send(b"absent")
    assert list(tmp_path.iterdir()) == []
    left = Listener(tmp_path)
    left.pipe.close()
    assert list(tmp_path.iterdir()) == []
    os.mkfifo(tmp_path / "changes")  # as a server that was killed leaves it
    Pipe(tmp_path).send(b"absent")
    assert not (tmp_path / "changes.missed").exists()


def test_a_pipe_left_behind_is_replaced_however_long_its_path(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 200)
    deep.mkdir()
    os.mkfifo(deep / "changes", 0o666)
    listener = Listener(deep)
    Pipe(deep).send(b"a")
    assert listener.next() == b"a"
    assert stat.S_IMODE((deep / "changes").stat().st_mode) == 0o600
    listener.pipe.close()


def test_what_finds_no_room_is_missed_and_nobody_waits(tmp_path: Path, standing: int) -> None:
    sender = Pipe(tmp_path)
    for number in range(100_000):
        sender.send(b"%d" % number)
        if (tmp_path / "changes.missed").exists():
            break
    assert not select.select([], [standing], [], 0)[1], "there was room"
    assert number > 1000


def test_a_listener_that_stood_still_learns_that_it_has_missed_something(listener: Listener, tmp_path: Path) -> None:
    sender = Pipe(tmp_path)
    sender.send(b"stand still")
    assert listener.stands.wait(20)
    while not (tmp_path / "changes.missed").exists():
        sender.send(b"x" * 1000)
    listener.go_on.set()
    assert len(listener.until(MISSED)) > 1
    sender.send(b"after")
    assert listener.until(b"after")[-1] == b"after"
    assert not (tmp_path / "changes.missed").exists()


def test_where_there_is_room_again_the_mark_is_not_overlooked(listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener may have read all that was there before the mark was made."""
    sender, put = Pipe(tmp_path), Pipe._put
    told: list[bytes] = []

    def full(self: Pipe, line: bytes) -> bool:
        told.append(line)
        return len(told) > 1 and put(self, line)  # there is room again when the mark has been made

    monkeypatch.setattr(Pipe, "_put", full)
    sender.send(b"lost")
    assert listener.next() == MISSED
    assert not (tmp_path / "changes.missed").exists()
    assert told == [b"lost\n", b"\n"]
    monkeypatch.undo()
    sender.send(b"x" * select.PIPE_BUF)  # more than is put in whole
    sender.send(b"short")
    assert listener.until(b"short") == [MISSED, b"short"]


@pytest.mark.parametrize("nonsense", [b"nonsense\n", b"x" * 3 * select.PIPE_BUF], ids=["unreadable", "endless"])
def test_nonsense_is_something_missed_and_the_listener_goes_on(
    listener: Listener, tmp_path: Path, nonsense: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "AGAIN_SECONDS", 0.01)
    with (tmp_path / "changes").open("wb", buffering=0) as writer:
        writer.write(nonsense)
    assert listener.next() == MISSED
    Pipe(tmp_path).send(b"sense")
    assert listener.next() == b"sense"


def test_no_other_file_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "changes").write_bytes(b"mine")
    Pipe(tmp_path).send(b"yours")
    assert (tmp_path / "changes").read_bytes() == b"mine"
    (tmp_path / "changes").unlink()
    os.mkfifo(tmp_path / "elsewhere")
    (tmp_path / "changes").symlink_to("elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        Pipe(tmp_path).send(b"yours")
