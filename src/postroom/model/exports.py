"""Exports of mailboxes, and what the place that one goes to has to be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class ExportState(StrEnum):
    """How far an export has come (WorkMail API: DescribeMailboxExportJob, State)."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Export:
    """An export of the mailbox of an entity to a path in a bucket; times are epoch seconds, progress in percent."""

    id: str
    entity: str
    mailbox: int
    description: str | None
    role_arn: str
    key_arn: str
    bucket: str
    prefix: str
    path: str
    state: ExportState
    progress: int
    error: str | None
    started_at: float
    ended_at: float | None
    upload: str | None
    """The name of the upload under way, or of what is left of it."""

    @property
    def log_path(self) -> str:
        """Where the log goes, beside the archive."""
        return f"{self.path.removesuffix('.zip')}.json"


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has arrived; lengths in bytes, `unpacked` that of its items."""

    number: int
    tag: str
    digest: bytes
    length: int
    stage: int
    uid: int
    messages: int
    skipped: int
    unpacked: int
    entries: bytes


class Refused(Exception):
    """The place does not take the export, and will not; the text says why."""


class Unreached(Exception):
    """The place cannot be reached now; the text says why."""


class Vanished(Exception):
    """The place knows nothing of the upload any more."""


class Upload(Protocol):
    """A place for one export. All of it may ask a network, and may raise `Refused` and `Unreached`."""

    def begin(self) -> str:
        """Begin an upload; gives its name."""

    def put(self, upload: str, number: int, offset: int, data: bytes | bytearray) -> str:
        """Put a part, counted from 1, durably; gives the tag by which it is known. Raises `Vanished`.

        A number that has been put before is put anew.
        """

    def finish(self, upload: str, tags: Sequence[str], length: int) -> None:
        """Make one object of the parts, whose tags are in order. Raises `Vanished`."""

    def abort(self, upload: str) -> None:
        """Leave nothing of an upload; one that has vanished is fine."""

    def write(self, path: str, data: bytes) -> None:
        """Write a small object beside the export."""

    def close(self) -> None:
        """Let go of what is held open here."""
