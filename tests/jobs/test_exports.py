"""Exports to folders: whole, taken up again, cancelled, refused."""

from __future__ import annotations

import fcntl
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha384
from pathlib import Path
from typing import Any

import pytest

from postroom.directory import organizations, registration, users
from postroom.jobs import exports as work
from postroom.jobs import sweep
from postroom.jobs.export_folders import FolderUpload
from postroom.mailbox import access, contents, exports, folders, items
from postroom.model import errors
from postroom.model.exports import Export, ExportState, Unreached, Upload
from postroom.model.flags import Flag
from postroom.storage.engine import Store

LETTERS = 40
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
ROLE = "arn:aws:iam::123456789012:role/export"


@dataclass
class Watched:
    """A folder's upload, and which parts have been put."""

    inner: Upload
    numbers: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def put(self, upload: str, number: int, offset: int, data: bytes) -> str:
        self.numbers.append(number)
        return self.inner.put(upload, number, offset, data)


@dataclass
class Office:
    """Alice's mailbox, and the folder that her exports go to."""

    store: Store
    scope: int
    root: Path
    user: str
    letters: list[bytes]
    uploads: list[Watched] = field(default_factory=list)

    def start(self, prefix: str = "mail/2026/") -> Export:
        with self.store.transaction(self.scope) as tx:
            return exports.start(tx, "alice", bucket="archive", prefix=prefix, role_arn=ROLE, key_arn=KEY, description="all of it")

    def places(self, export: Export) -> Upload:
        self.uploads.append(Watched(FolderUpload(self.root, export.path)))
        return self.uploads[-1]  # type: ignore[return-value]

    def carry_on(self, export: Export, wanted: Callable[[], bool] = lambda: True, holder: str = "me") -> Export:
        """Work on an export; gives what has become of it."""
        with self.store.transaction(self.scope) as tx:
            assert exports.take(tx, export.id, holder)
        work.carry_on(self.store, self.scope, export.id, holder=holder, places=self.places, wanted=wanted)
        return self.get(export)

    def until_parts(self, count: int) -> Callable[[], bool]:
        """Say that an export is wanted until so many parts have been put."""
        return lambda: len(self.uploads[-1].numbers) < count

    def get(self, export: Export) -> Export:
        with self.store.transaction(self.scope, write=False) as tx:
            found = exports.find(tx, export.id)
        assert found is not None
        return found

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())

    def archived(self, export: Export) -> dict[str, bytes]:
        """Read the archive, and see that its log tells the truth about it."""
        data = (self.root / export.path).read_bytes()
        log = json.loads((self.root / export.log_path).read_bytes())
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            assert opened.testzip() is None
            found = {name: opened.read(name) for name in opened.namelist()}
            assert len(found) == len(opened.namelist())
        assert log == {
            "totalNonExportableItems": "0",
            "totalMessages": str(sum(not name.endswith("/") for name in found)),
            "sha384Hash": sha384(data).hexdigest(),
            "totalBytes": str(len(data)),
            "totalFolders": str(sum(name.endswith("/") for name in found)),
            "startTime": str(int(export.started_at)),
            "endTime": log["endTime"],
        }
        assert float(log["endTime"]) >= int(export.started_at)
        return {name: raw for name, raw in found.items() if not name.endswith("/")}

    def noted(self) -> int:
        """Count what is noted of exports that are under way."""
        with self.store.transaction(self.scope, write=False) as tx:
            rows = [tx.all(f"SELECT 1 FROM {table} WHERE organization = :organization") for table in ("export_plans", "export_parts")]
        return sum(map(len, rows))


def inbox(letters: Sequence[bytes]) -> dict[str, bytes]:
    return {f"Inbox/{uid:010d}.eml": raw for uid, raw in enumerate(letters, 1)}


@pytest.fixture
def office(store, organization, tmp_path, monkeypatch) -> Office:
    monkeypatch.setattr(work, "PART_BYTES", 700)
    scope = organization.number
    letters = [f"Subject: {number}\r\n\r\n{number * 7919:>50}\r\n".encode() for number in range(LETTERS)]
    prepared = [contents.prepare(store, scope, raw) for raw in letters]
    with store.transaction(scope) as tx:
        user = users.create(tx, name="alice", display_name="Alice").id
        registration.register(tx, user, "alice@example.test")
        mailbox = access.open_for_delivery(tx, user)
        for one in prepared:
            items.append(tx, mailbox, folders.by_role(tx, mailbox, "inbox").id, one, flags=int(Flag.DELETED))
    root = tmp_path / "archive"
    root.mkdir()
    return Office(store, scope, root, user, letters)


def expunge(office: Office, *uids: int) -> None:
    """Delete letters for good, bytes and all."""
    with office.store.transaction(office.scope) as tx:
        mailbox = access.open_for_export(tx, office.user, 1)
        writable = access.Mailbox(mailbox.scope, mailbox.id, mailbox.owner, access.Right.WRITE)
        items.expunge(tx, writable, folders.by_role(tx, writable, "inbox").id, [(uid, uid) for uid in uids])


def test_a_mailbox_becomes_an_archive(office):
    export = office.start()
    done = office.carry_on(export)
    assert (done.state, done.progress, done.error, done.upload) == (ExportState.COMPLETED, 100, None, None)
    assert office.archived(done) == inbox(office.letters)
    assert office.files() == [f"mail/2026/{export.id}.json", f"mail/2026/{export.id}.zip"]
    assert len(office.uploads[0].numbers) > 5
    assert office.noted() == 0
    assert (office.root / done.path).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_later_parts_are_larger(office, monkeypatch):
    """So that the largest mailbox needs no more of them than S3 takes."""
    monkeypatch.setattr(work, "LARGE_FROM", 2)
    monkeypatch.setattr(work, "LARGE_PART_BYTES", 1_000_000)
    assert office.archived(office.carry_on(office.start())) == inbox(office.letters)
    assert office.uploads[0].numbers == [1, 2, 3]


def test_an_export_is_taken_up_where_it_was_left(office):
    export = office.start()
    left = office.carry_on(export, office.until_parts(3))
    assert left.state is ExportState.RUNNING
    assert 0 < left.progress < 100
    assert office.files() == [f"mail/2026/.{export.id}.zip.partial"]
    done = office.carry_on(export, holder="another")
    assert done.state is ExportState.COMPLETED
    assert office.archived(done) == inbox(office.letters)
    assert office.uploads[0].numbers == [1, 2, 3]
    assert office.uploads[1].numbers[0] == 4


def test_what_was_deleted_after_it_was_put_is_not_missed_by_the_directory(office, clock):
    """A part that cannot be made anew for the checksum is put again, with all behind it."""
    export = office.start()
    office.carry_on(export, office.until_parts(3))
    expunge(office, 9)
    clock.advance(7200)
    assert sweep.sweep_contents(office.store, office.scope) == 1
    done = office.carry_on(export, holder="another")
    assert done.state is ExportState.COMPLETED
    left = inbox(office.letters)
    del left["Inbox/0000000009.eml"]
    assert office.archived(done) == left
    assert 1 < office.uploads[1].numbers[0] <= 3


def test_what_was_deleted_and_is_still_there_is_kept(office):
    export = office.start()
    office.carry_on(export, office.until_parts(3))
    expunge(office, 1, 40)
    done = office.carry_on(export)
    left = inbox(office.letters)
    del left["Inbox/0000000040.eml"]
    assert office.archived(done) == left
    assert office.uploads[1].numbers[0] == 4


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_an_archive_that_becomes_shorter_ends_where_it_ends(office, clock):
    export = office.start()
    office.carry_on(export, office.until_parts(8))
    expunge(office, *range(2, 41))
    clock.advance(7200)
    assert sweep.sweep_contents(office.store, office.scope) == 39
    assert office.archived(office.carry_on(export)) == inbox(office.letters[:1])


def test_a_part_that_does_not_come_out_the_same_is_put_again(office):
    """As when another version of zlib packs it."""
    export = office.start()
    office.carry_on(export, office.until_parts(3))
    with office.store.transaction(office.scope) as tx:
        tx.run("UPDATE export_parts SET digest = :other WHERE organization = :organization AND number = 2", other=bytes(32))
    assert office.archived(office.carry_on(export)) == inbox(office.letters)
    assert office.uploads[1].numbers[0] == 2


def test_what_comes_while_what_has_come_is_read_is_not_missed(office):
    export = office.start()
    late = [b"Subject: late\r\n\r\n", b"Subject: later\r\n\r\n"]
    prepared = [contents.prepare(office.store, office.scope, raw) for raw in late]

    def append() -> bool:
        with office.store.transaction(office.scope) as tx:
            begun = office.get(export).upload is not None
            if begun and prepared and exports.plan(tx, export.id).passes == len(late) - len(prepared):
                mailbox = access.open_for_delivery(tx, office.user)
                items.append(tx, mailbox, folders.by_role(tx, mailbox, "inbox").id, prepared.pop(0))
        return True

    done = office.carry_on(export, append)
    assert office.archived(done) == inbox([*office.letters, *late])


def test_a_lost_upload_is_begun_anew(office, clock):
    export = office.start()
    office.carry_on(export, office.until_parts(3))
    (office.root / f"mail/2026/.{export.id}.zip.partial").unlink()
    assert office.carry_on(export).state is ExportState.RUNNING
    clock.advance(exports.RETRY_SECONDS[0])
    done = office.carry_on(export)
    assert office.archived(done) == inbox(office.letters)
    assert office.uploads[-1].numbers[0] == 1


def test_an_upload_of_which_a_part_is_lost_is_begun_anew(office, clock):
    export = office.start()
    office.carry_on(export, office.until_parts(3))
    with (office.root / f"mail/2026/.{export.id}.zip.partial").open("r+b") as file:
        file.truncate(1000)
    assert office.carry_on(export).state is ExportState.RUNNING
    clock.advance(exports.RETRY_SECONDS[0])
    assert office.archived(office.carry_on(export)) == inbox(office.letters)


def test_an_upload_that_is_lost_again_and_again(office, clock):
    export = office.start()
    for _ in range(exports.RESTARTS + 1):
        left = office.carry_on(export, office.until_parts(2))
        assert left.state is ExportState.RUNNING
        (office.root / f"mail/2026/.{export.id}.zip.partial").unlink()
        failed = office.carry_on(export)
        clock.advance(exports.RETRY_SECONDS[0])
    assert (failed.state, failed.error) == (ExportState.FAILED, "The bucket has lost what was uploaded, again and again.")
    assert (office.files(), office.noted()) == ([], 0)


def test_a_cancelled_export_leaves_nothing(office):
    export = office.start()

    def cancel() -> bool:
        if len(office.uploads[-1].numbers) == 2:
            with office.store.transaction(office.scope) as tx:
                exports.cancel(tx, export.id)
        return True

    cancelled = office.carry_on(export, cancel)
    assert (cancelled.state, cancelled.upload) == (ExportState.CANCELLED, None)
    assert cancelled.ended_at is not None
    assert office.uploads[0].numbers == [1, 2, 3]
    assert (office.files(), office.noted()) == ([], 0)


@pytest.mark.parametrize(
    ("step", "state"), [("begin", ExportState.CANCELLED), ("write", ExportState.COMPLETED), ("finish", ExportState.COMPLETED)]
)
def test_cancelled_as_it_begins_or_ends(office, monkeypatch, step, state):
    """Before its upload is noted it can be cancelled, when its parts are being made one object no more."""
    export, done = office.start(), getattr(FolderUpload, step)

    def cancelled(self: FolderUpload, *args: Any) -> Any:
        with office.store.transaction(office.scope) as tx:
            exports.cancel(tx, export.id)
        return done(self, *args)

    monkeypatch.setattr(FolderUpload, step, cancelled)
    assert office.carry_on(export).state is state
    assert office.files() == ([] if state is ExportState.CANCELLED else [export.log_path, export.path])


def test_a_cancelled_export_that_nobody_works_on_is_tidied_away(office):
    export = office.start()
    office.carry_on(export, office.until_parts(2))
    with office.store.transaction(office.scope) as tx:
        exports.cancel(tx, export.id)
        assert exports.due(tx) == [export.id]
    assert office.carry_on(export).state is ExportState.CANCELLED
    assert (office.files(), office.noted()) == ([], 0)
    with office.store.transaction(office.scope) as tx:
        assert exports.due(tx) == []


def test_what_cannot_be_tidied_away_now_is_later(office, clock, monkeypatch):
    export = office.start()
    office.carry_on(export, office.until_parts(2))

    def unreached(self: FolderUpload, upload: str) -> None:
        raise Unreached("The bucket is not there now.")

    def due() -> list[str]:
        with office.store.transaction(office.scope, write=False) as tx:
            return exports.due(tx)

    with office.store.transaction(office.scope) as tx:
        exports.cancel(tx, export.id)
    with monkeypatch.context() as patch:
        patch.setattr(FolderUpload, "abort", unreached)
        assert office.carry_on(export).upload is not None
    clock.advance(exports.TIDY_SECONDS - 1)
    assert due() == []
    clock.advance(1)
    assert due() == [export.id]
    assert office.carry_on(export).upload is None
    assert office.files() == []


def test_an_export_that_another_has_taken_is_left_to_it(office, clock):
    export = office.start()

    def stalled() -> bool:
        if len(office.uploads[-1].numbers) == 2:
            clock.advance(exports.LEASE_SECONDS)
            with office.store.transaction(office.scope) as tx:
                assert exports.take(tx, export.id, "another")
        return True

    assert office.carry_on(export, stalled).state is ExportState.RUNNING
    assert office.uploads[0].numbers == [1, 2, 3]
    with office.store.transaction(office.scope) as tx:
        assert not exports.take(tx, export.id, "me")
        assert exports.held(tx, export.id, "another")
    assert office.archived(office.carry_on(export, holder="another")) == inbox(office.letters)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_place_that_cannot_be_written_is_tried_again_and_then_given_up(office, clock):
    export = office.start()
    office.carry_on(export, office.until_parts(2))
    with (office.root / f"mail/2026/.{export.id}.zip.partial").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for seconds in exports.RETRY_SECONDS:
            assert office.carry_on(export).state is ExportState.RUNNING
            with office.store.transaction(office.scope) as tx:
                assert exports.due(tx) == []
            clock.advance(seconds)
        failed = office.carry_on(export)
    assert (failed.state, failed.error) == (ExportState.FAILED, "Another process is still writing the file of the export.")
    assert office.files() == []


def test_an_export_that_waits_is_tidied_away_as_soon_as_it_is_cancelled(office):
    export = office.start()
    office.carry_on(export, office.until_parts(2))
    with (office.root / f"mail/2026/.{export.id}.zip.partial").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        office.carry_on(export)
    with office.store.transaction(office.scope) as tx:
        assert exports.due(tx) == []
        exports.cancel(tx, export.id)
        assert exports.due(tx) == [export.id]


def test_a_file_that_another_process_writes_is_not_begun_anew(tmp_path):
    file = tmp_path / ".a.zip.partial"
    file.write_bytes(b"part")
    with file.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Unreached):
            FolderUpload(tmp_path, "a.zip").begin()
    assert file.read_bytes() == b"part"
    with closing(FolderUpload(tmp_path, "a.zip")) as upload:
        upload.begin()
    assert file.read_bytes() == b""


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_nothing_is_written_through_a_link(office, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (office.root / "mail").symlink_to(outside)
    failed = office.carry_on(office.start())
    assert failed.state is ExportState.FAILED
    assert failed.error.startswith("The folder of the bucket cannot be written")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("prefix", ["../out", "a/../../out", "./a", "a" * 256])
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_nothing_is_written_elsewhere(office, prefix):
    failed = office.carry_on(office.start(prefix))
    assert (failed.state, failed.error) == (ExportState.FAILED, "The S3 prefix has a part that cannot be a folder.")
    assert list(office.root.parent.glob("out*")) == []
    assert office.files() == []


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_bucket_that_is_gone(office):
    office.root.rmdir()
    failed = office.carry_on(office.start())
    assert (failed.state, failed.error) == (ExportState.FAILED, "The folder of the bucket cannot be written: No such file or directory.")
    assert not office.root.exists()


def test_a_mailbox_that_is_gone(office, clock):
    export = office.start()
    office.carry_on(export, office.until_parts(2))
    with office.store.transaction(office.scope) as tx:
        registration.deregister(tx, "alice")
    clock.advance(31 * 86_400)
    assert sweep.purge_mailboxes(office.store, office.scope) == 1
    failed = office.carry_on(export)
    assert (failed.state, failed.error) == (ExportState.FAILED, "The mailbox was deleted before it was exported.")
    assert office.files() == []


def test_an_organization_that_is_deleted_meanwhile(office, organization):
    export = office.start()

    def delete() -> bool:
        if len(office.uploads[-1].numbers) == 2:
            organizations.delete(office.store, organization, force=True)
        return True

    with office.store.transaction(office.scope) as tx:
        assert exports.take(tx, export.id, "me")
    work.carry_on(office.store, office.scope, export.id, holder="me", places=office.places, wanted=delete)
    assert office.uploads[0].numbers[-1] >= 2
    assert office.files() == []


def test_an_export_that_runs_is_shown_however_old(office, clock):
    export = office.start()
    clock.advance(exports.SHOWN_SECONDS + 1)
    assert work.purge(office.store, office.scope) == 0
    with office.store.transaction(office.scope, write=False) as tx:
        assert exports.get(tx, export.id) == exports.page(tx, None, 10)[0] == export


def test_what_is_shown_no_more_is_forgotten(office, clock):
    export = office.start()
    office.carry_on(export)
    clock.advance(exports.SHOWN_SECONDS)
    assert work.purge(office.store, office.scope) == 0
    clock.advance(1)
    with pytest.raises(errors.EntityNotFound), office.store.transaction(office.scope) as tx:
        exports.get(tx, export.id)
    assert work.purge(office.store, office.scope) == 1
    with office.store.transaction(office.scope) as tx:
        assert exports.find(tx, export.id) is None
