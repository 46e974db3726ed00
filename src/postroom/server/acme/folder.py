"""The files below `data/acme`: the account's key, what was issued, what challenges are to be answered.

    accounts/DIRECTORY/        key.pem and account.json, for each directory that was ever used
    issued/NAME/xxxxxxxx/      fullchain.pem and privkey.pem, never changed
    live/NAME                  a symbolic link to the one of them that is shown
    challenges/                what is answered to an authority that looks whether a name is ours
    orders.json                what was ordered, what failed, when it is tried again

A certificate becomes the one that is shown by the replacement of the link, so it is shown whole or not at all.
"""

import hashlib
import os
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path

from postroom.server import certificates
from postroom.server.certificates import Files
from postroom.server.presented import CERTIFICATE, KEY

STALE_SECONDS = 86_400.0
"""After how long a challenge is nobody's any more."""


class Folder:
    """`data/acme`."""

    def __init__(self, data: Path) -> None:
        self.root = data / "acme"
        self.live = self.root / "live"
        self.orders = self.root / "orders.json"
        self._issued = self.root / "issued"
        self._challenges = self.root / "challenges"
        self._accounts = self.root / "accounts"

    def make(self) -> None:
        """Make what is missing, for the owner alone."""
        for folder in (self.root, self.live, self._issued, self._challenges, self._accounts):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def account(self, directory: str) -> Path:
        """Give the folder of the account with an authority."""
        self.make()
        folder = self._accounts / hashlib.sha256(directory.encode()).hexdigest()[:16]
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    def files(self, name: str) -> Files | None:
        """Give the pair that is shown for a name, None where there is none."""
        files = Files(self.live / name / CERTIFICATE, self.live / name / KEY)
        return files if files.certificate.exists() and files.key.exists() else None

    def install(self, name: str, chain: bytes, key: bytes) -> Files:
        """Show a new pair for a name; raises OSError or ssl.SSLError with the old one in its place when it cannot be used."""
        self.make()
        of_name = self._issued / name
        folder = of_name / secrets.token_hex(4)
        for made in (of_name, folder):
            made.mkdir(exist_ok=True, mode=0o700)
        try:
            replace(folder / KEY, key)
            replace(folder / CERTIFICATE, chain)
            certificates.context(Files(folder / CERTIFICATE, folder / KEY))
            sync(of_name)
            sync(self._issued)
            link = folder / "link"
            link.symlink_to(Path("..") / "issued" / name / folder.name)
            link.replace(self.live / name)
            sync(self.live)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        for old in of_name.iterdir():
            if old != folder:
                shutil.rmtree(old, ignore_errors=True)
        return Files(self.live / name / CERTIFICATE, self.live / name / KEY)

    def remove(self, name: str) -> None:
        """Show nothing for a name any more."""
        with suppress(FileNotFoundError):
            (self.live / name).unlink()
        shutil.rmtree(self._issued / name, ignore_errors=True)

    def pose(self, challenge: str, content: bytes) -> None:
        """Answer a challenge from now on, here and by every server that shares the folder."""
        self.make()
        replace(self._challenges / challenge, content)

    def withdraw(self, challenge: str) -> None:
        """Answer a challenge no more."""
        with suppress(FileNotFoundError):
            (self._challenges / challenge).unlink()

    def posed(self, challenge: str) -> Path:
        """Give the file with the answer to a challenge, whose name the caller has checked; it may not be there."""
        return self._challenges / challenge

    def sweep(self) -> None:
        """Remove challenges that a process left when it died."""
        for path in self._challenges.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()


def replace(path: Path, content: bytes) -> None:
    """Write a file whole and durably, for the owner alone."""
    partial = path.with_name(path.name + ".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
