"""mutt (or neomutt) in batch mode: it sends, reads what came, and saves it to a folder."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.interop.reader import Reader
from tests.program import Ready, User

CONFIGURATION = """
set from = "{email}"
set realname = "A Mutt User"
set use_from = yes
set hostname = {domain}
set imap_user = "{email}"
set imap_pass = "{password}"
set smtp_url = "smtps://{email}@localhost:{submissions}/"
set smtp_pass = "{password}"
set folder = "imaps://localhost:{imaps}/"
set spoolfile = "+INBOX"
set record = "+Sent Items"
set postponed = "+Drafts"
set ssl_ca_certificates_file = "{ca_file}"
set certificate_file = "{folder}/certificates"
set ssl_starttls = yes
set ssl_force_tls = yes
set header_cache = "{folder}/headers"
set message_cachedir = "{folder}/bodies"
set tmpdir = "{folder}"
set mail_check = 1
set timeout = 1
set copy = yes
set confirmappend = no
set confirmcreate = no
set delete = yes
set quit = yes
set move = no
set wait_key = no
set pipe_split = no
set pipe_decode = no
set charset = utf-8
set send_charset = us-ascii:utf-8
"""


@pytest.fixture
def program_name() -> str:
    path = shutil.which("mutt") or shutil.which("neomutt")
    if path is None:
        pytest.skip("mutt is not installed (apt-get install mutt)")
    return path


@pytest.fixture
def settings(tmp_path: Path, ready: Ready) -> Callable[[User], Path]:
    """Return a writer of somebody's muttrc."""

    def write(user: User) -> Path:
        folder = tmp_path / user.id
        (folder / "headers").mkdir(parents=True)
        (folder / "bodies").mkdir()
        path = folder / "muttrc"
        text = CONFIGURATION.format(
            email=user.email,
            domain=ready.domain,
            password=user.password,
            submissions=ready.submissions[1],
            imaps=ready.imaps[1],
            ca_file=ready.ca_file,
            folder=folder,
        )
        path.write_text(text)
        return path

    return write


def environment(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "PATH": os.environ["PATH"], "TERM": "vt100", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def on_a_screen(arguments: list[str], folder: Path, seconds: float = 60) -> str:
    """Run a program on a terminal of its own, typing nothing; return what it drew."""
    child, screen = pty.fork()
    if child == 0:
        os.execve(arguments[0], arguments, environment(folder))
    drawn = b""
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            if select.select([screen], [], [], 0.2)[0]:
                try:
                    drawn += os.read(screen, 65536)
                except OSError:  # the other side has ended
                    break
        else:
            os.kill(child, signal.SIGKILL)
            raise AssertionError(f"still running after {seconds:.0f} s: {drawn[-3000:].decode(errors='replace')}")
        return drawn.decode(errors="replace")
    finally:
        os.close(screen)
        with suppress(ChildProcessError):
            os.waitpid(child, 0)


def test_mutt_sends_reads_and_files(ready, hired, settings, program_name, tmp_path):
    writer, reader = hired(), hired()
    marker = f"marker-{uuid.uuid4().hex}"
    attachment = tmp_path / "übung.bin"
    attachment.write_bytes(bytes(range(256)) * 40)
    muttrc = settings(writer)
    sent = subprocess.run(
        [program_name, "-F", muttrc, "-n", "-s", "Grüße von mutt", "-a", attachment, "--", reader.email],
        input=f"Guten Tag!\n\n{marker} 世界\n".encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        env=environment(muttrc.parent),
        check=False,
    )
    assert sent.returncode == 0, sent.stdout.decode()
    with Reader(ready, reader) as mailbox:
        arrived = mailbox.await_letter(b"Subject: =?utf-8?")
    with Reader(ready, writer) as mailbox:
        (kept,) = mailbox.letters("Sent Items").values()
    identity = next(line for line in arrived.split(b"\r\n") if line.lower().startswith(b"message-id:"))
    assert identity in kept

    # the other person opens the mailbox, pipes the letter's source out, tags it important and saves it to a new folder
    muttrc = settings(reader)
    source = muttrc.parent / "source"
    keys = f"<pipe-message>cat > {source}<enter><display-message><exit><flag-message><save-message>=Ablage<enter>y<sync-mailbox><quit>"
    screen = on_a_screen([program_name, "-F", str(muttrc), "-n", "-e", f'push "{keys}"'], muttrc.parent)
    assert source.exists(), screen
    assert source.read_bytes().replace(b"\n", b"\r\n") == arrived
    assert "Gr" in screen, "the index shows the subject"
    with Reader(ready, reader) as mailbox:
        assert mailbox.letters() == {}
        assert list(mailbox.letters("Ablage").values()) == [arrived]
        _, flags = mailbox.imap.fetch("1", "(FLAGS)")
        assert b"\\Flagged" in flags[0]
        assert b"\\Seen" in flags[0]


def test_mutt_lists_a_folder_of_hundreds(ready, hired, settings, program_name):
    user = hired()
    count = 300
    with Reader(ready, user) as mailbox:
        for number in range(count):
            text = f"From: bob@stranger.test\r\nSubject: number {number:03}\r\nMessage-ID: <{number}@test>\r\n\r\nText {number}.\r\n"
            status, _ = mailbox.imap.append("INBOX", None, None, text.encode())
            assert status == "OK"
    muttrc = settings(user)
    subjects = muttrc.parent / "subjects"
    keys = f"<tag-pattern>~A<enter><tag-prefix><pipe-message>grep Subject: > {subjects}<enter><quit>"
    screen = on_a_screen([program_name, "-F", str(muttrc), "-n", "-e", f'push "{keys}"'], muttrc.parent)
    assert subjects.exists(), screen
    assert subjects.read_text().splitlines() == [f"Subject: number {number:03}" for number in range(count)]
