"""isync: a thousand letters both ways, compared byte for byte."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.interop.letters import letters
from tests.interop.reader import Reader
from tests.interop.tools import need, run

HALF = 500
FOLDER = "Archiv Übung/2026 & später"
FOLDER_UTF7 = "Archiv &ANw-bung/2026 &- sp&AOQ-ter"

CONFIGURATION = """
FSync no

IMAPAccount far
Host {host}
Port {port}
User {email}
Pass {password}
SSLType IMAPS
CertificateFile {ca_file}
SystemCertificates no

IMAPStore far
Account far

MaildirStore near
Path {folder}/
Inbox {folder}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
"""


class Maildir:
    """The near side: letters in files with LF line endings, flags in their names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("cur", "new", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def add(self, number: int, letter: bytes, flags: str = "") -> None:
        (self.folder / "cur" / f"1795000000.{number}.test:2,{flags}").write_bytes(letter.replace(b"\r\n", b"\n"))

    def files(self) -> dict[bytes, Path]:
        """Return the file of each letter by its Message-ID."""
        return {identity(path.read_bytes()): path for name in ("cur", "new") for path in (self.folder / name).iterdir()}

    def letters(self) -> dict[bytes, bytes]:
        """Return each letter with CRLF line endings by its Message-ID."""
        return {key: plain(path.read_bytes().replace(b"\n", b"\r\n")) for key, path in self.files().items()}

    def flags(self) -> dict[bytes, str]:
        return {key: "".join(sorted(path.name.partition(":2,")[2])) for key, path in self.files().items()}


def identity(letter: bytes) -> bytes:
    match = re.search(rb"^Message-ID: (\S+)", letter, re.MULTILINE)
    assert match, letter[:500]
    return match[1]


def plain(letter: bytes) -> bytes:
    """Return a letter without the line mbsync puts in to find what it stored."""
    return re.sub(rb"^X-TUID: .*\r\n", b"", letter, count=1, flags=re.MULTILINE)


def far_flags(reader: Reader, folder: str) -> dict[int, str]:
    """Return the flags of each message in Maildir's letters by UID."""
    reader.imap.select(f'"{folder}"', readonly=True)
    _, lines = reader.imap.uid("FETCH", "1:*", "(UID FLAGS)")
    names = {b"\\Seen": "S", b"\\Answered": "R", b"\\Flagged": "F", b"\\Deleted": "T", b"\\Draft": "D"}
    found = {}
    for line in lines:
        match = re.search(rb"UID (\d+)", line)
        assert match
        found[int(match[1])] = "".join(sorted(letter for name, letter in names.items() if name in line))
    return found


@pytest.mark.slow
def test_a_thousand_letters_both_ways(ready, user, tmp_path):
    mbsync = need("mbsync", "isync")
    configuration = tmp_path / "mbsyncrc"
    _, port = ready.imaps
    host = "localhost"  # isync 1.4 compares no addresses with a certificate, only names
    folder = tmp_path / "mail"
    folder.mkdir()
    configuration.write_text(
        CONFIGURATION.format(host=host, port=port, email=user.email, password=user.password, ca_file=ready.ca_file, folder=folder)
    )
    configuration.chmod(0o600)

    def sync() -> None:
        """Run mbsync."""
        result = run([mbsync, "-c", configuration, "all"], seconds=300)
        assert result.returncode == 0, result.stdout.decode(errors="replace")[-4000:]

    def state() -> list[object]:
        """Return what a run without anything to do leaves alone, on both sides."""
        seen: list[object] = [sorted(path.name for path in inbox.files().values()), sorted(path.name for path in archive.files().values())]
        with Reader(ready, user) as reader:
            for name in ("INBOX", FOLDER_UTF7):
                _, answer = reader.imap.status(f'"{name}"', "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)")
                seen.append((answer, far_flags(reader, name)))
        return seen

    family = letters(2 * HALF)
    all_letters = {identity(letter): letter for letter in family}
    assert len(all_letters) == 2 * HALF
    inbox, archive = Maildir(folder / "INBOX"), Maildir(folder / FOLDER_UTF7)
    # a store without UTF-8 names: mbsync takes folder names as they stand on the wire
    for number, letter in enumerate(family[:HALF]):
        (inbox if number % 2 else archive).add(number, letter, "S" if number % 3 else "")

    with Reader(ready, user) as reader:
        for number, letter in enumerate(family[HALF:]):
            flags = "(\\Flagged)" if number % 5 == 0 else None
            status, answer = reader.imap.append("INBOX", flags, None, letter)
            assert status == "OK", answer

    sync()
    assert inbox.letters() | archive.letters() == all_letters
    with Reader(ready, user) as reader:
        far_inbox, far_archive = reader.letters(), reader.letters(FOLDER_UTF7)
        assert {identity(letter): plain(letter) for letter in [*far_inbox.values(), *far_archive.values()]} == all_letters
        assert len(far_inbox) + len(far_archive) == 2 * HALF
        assert {identity(far_inbox[uid]): flags for uid, flags in far_flags(reader, "INBOX").items()} == inbox.flags()
        assert {identity(far_archive[uid]): flags for uid, flags in far_flags(reader, FOLDER_UTF7).items()} == archive.flags()

    before = state()
    sync()
    assert state() == before, "a second run finds nothing to do"

    # each side changes flags and deletes
    files = inbox.files()
    for number, letter in enumerate(family[1:HALF:2]):
        path = files[identity(letter)]
        if number % 10 == 0:
            path.rename(path.with_name(path.name.partition(":2,")[0] + ":2,FRS"))
        if number % 10 == 1:
            path.rename(path.with_name(path.name.partition(":2,")[0] + ":2,ST"))
    with Reader(ready, user) as reader:
        uids = {identity(letter): uid for uid, letter in reader.letters().items()}
        reader.imap.select("INBOX")
        late = [uids[identity(letter)] for letter in family[HALF:]]
        reader.imap.uid("STORE", ",".join(map(str, late[:50])), "+FLAGS", "(\\Answered)")
        reader.imap.uid("STORE", ",".join(map(str, late[50:100])), "+FLAGS.SILENT", "(\\Deleted)")
    sync()
    gone = {identity(letter) for letter in family[HALF + 50 : HALF + 100]} | {identity(letter) for letter in family[1:HALF:2][1::10]}
    left = {key: letter for key, letter in all_letters.items() if key not in gone}
    assert inbox.letters() | archive.letters() == left
    with Reader(ready, user) as reader:
        far_inbox = reader.letters()
        assert {identity(letter) for letter in far_inbox.values()} == set(inbox.letters())
        flags = {identity(far_inbox[uid]): flags for uid, flags in far_flags(reader, "INBOX").items()}
    assert flags == inbox.flags()
    assert {flags[identity(letter)] for letter in family[1:HALF:2][::10]} == {"FRS"}
    assert all("R" in flags[identity(letter)] for letter in family[HALF : HALF + 50])
    before = state()
    sync()
    assert state() == before
