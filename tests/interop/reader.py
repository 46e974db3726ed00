"""Somebody's mailbox seen over IMAP, with the client of Python's own library."""

from __future__ import annotations

import imaplib
import time
from types import TracebackType

from tests.program import Ready, User


class Reader:
    """A signed-in connection over implicit TLS; a context manager."""

    def __init__(self, ready: Ready, user: User) -> None:
        self.imap = imaplib.IMAP4_SSL(*ready.imaps, ssl_context=ready.tls(), timeout=60)
        self.imap.login(user.email, user.password)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.imap.logout()
        else:
            self.imap.shutdown()

    def letters(self, folder: str = "INBOX") -> dict[int, bytes]:
        """Return every message of a folder by its UID."""
        status, _ = self.imap.select(f'"{folder}"', readonly=True)
        assert status == "OK", folder
        _, answer = self.imap.uid("FETCH", "1:*", "(UID BODY.PEEK[])")
        found = {}
        for part in answer:
            if isinstance(part, tuple):
                words = part[0].split()
                found[int(words[words.index(b"(UID") + 1])] = part[1]
        return found

    def await_letter(self, *words: bytes, folder: str = "INBOX", seconds: float = 20) -> bytes:
        """Return the first message of a folder that has all these words."""
        end = time.monotonic() + seconds
        while True:
            letters = self.letters(folder)
            for letter in letters.values():
                if all(word in letter for word in words):
                    return letter
            assert time.monotonic() < end, f"nothing with {words} among the {len(letters)} letters of {folder} in {seconds:.0f} s"
            time.sleep(0.1)
