"""Exports: a mailbox carried to its bucket as one zip archive, part by part, and taken up again where it was left.

An archive is uploaded in parts that end where an item ends, and each part that has arrived is noted with what it holds. So memory holds
one part, one message and one page of the mailbox, however large that is, and what the directory at the end of the archive says stands in
the notes until then. Whoever takes an export up again makes the parts that have arrived anew, from the noted contents, only to go on with
the checksum over the whole archive, which nobody can keep halfway; a part that does not come out the same, as one of its items has been
deleted, is uploaded again with all behind it. Otherwise no part that has arrived is sent twice.

Between two parts the work looks whether the export is still wanted, and still left to it.

WorkMail API: StartMailboxExportJob
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256, sha384
from typing import Any

import msgspec
import structlog

from postroom.formats import zip as archives
from postroom.formats.zip import Entry
from postroom.mailbox import archive, contents, exports
from postroom.mailbox.archive import Item, Plan
from postroom.model import errors
from postroom.model.exports import Export, ExportState, Part, Refused, Unreached, Upload, Vanished
from postroom.storage.engine import Store, Tx

PART_BYTES = 8 * 1024 * 1024
"""A part ends with the item that fills it; S3 takes none below 5 MiB but the last."""
LARGE_FROM, LARGE_PART_BYTES = 4000, 24 * 1024 * 1024
"""From that part on they are larger: S3 takes 10,000 parts, and a mailbox of 50 GB must never need more."""

Places = Callable[[Export], Upload]
"""Finds the place of an export; raises `Refused`."""
Wanted = Callable[[], bool]
"""Says whether the work should go on, or end for now."""

log = structlog.get_logger("postroom.jobs")


class Left(Exception):
    """The export is cancelled, somebody else's, or left for later."""


class Noted(msgspec.Struct, frozen=True, array_like=True):
    """What a part says of one of its items."""

    content: int
    name: str
    modified: int
    method: int
    checksum: int
    packed: int
    size: int

    @classmethod
    def of(cls, content: int, entry: Entry) -> Noted:
        """Note an entry."""
        return cls(content, entry.name, entry.modified, entry.method, entry.checksum, entry.packed, entry.size)

    @property
    def entry(self) -> Entry:
        """Give what the archive says of it."""
        return Entry(self.name, self.modified, self.method, self.checksum, self.packed, self.size)


@dataclass(slots=True)
class Count:
    """What has been put into the archive; bytes before they were packed."""

    messages: int = 0
    skipped: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Draft:
    """The part under way: its bytes, what they hold, and where the next one begins."""

    stage: int = 0
    uid: int = archive.BEFORE
    data: bytearray = field(default_factory=bytearray)
    noted: list[Noted] = field(default_factory=list)
    count: Count = field(default_factory=Count)


def purge(store: Store, scope: int) -> int:
    """Forget the exports that are shown no more; give their number."""
    with store.transaction(scope) as tx:
        return exports.purge(tx)


def carry_on(store: Store, scope: int, id: str, *, holder: str, places: Places, wanted: Wanted) -> None:
    """Work on an export that `holder` has taken until it has ended, is left for later, or is no longer wanted."""
    try:
        with store.transaction(scope, write=False) as tx:
            export = exports.find(tx, id)
        if export is None:
            return
        if export.state is ExportState.RUNNING:
            _carry_on(store, scope, export, holder, places, wanted)
        _tidy(store, scope, id, holder, places)
    except errors.OrganizationNotFound:
        log.info("export_ended_with_its_organization", scope=scope, export=id)
    except Unreached as error:
        log.warning("export_not_tidied", scope=scope, export=id, reason=str(error))
        with store.transaction(scope) as tx:
            exports.tidy_later(tx, id, holder)


def _carry_on(store: Store, scope: int, export: Export, holder: str, places: Places, wanted: Wanted) -> None:
    def note(function: Callable[..., None], *args: Any) -> None:
        with store.transaction(scope) as tx:
            if exports.held(tx, export.id, holder):
                function(tx, *args)

    try:
        with closing(places(export)) as upload:
            work = Work(store, scope, export, holder, upload, wanted)
            try:
                work.run()
            except errors.OrganizationNotFound:
                work.abandon()
                raise
    except Left:
        note(exports.release, export.id, holder)
    except Vanished:
        log.warning("export_started_over", scope=scope, export=export.id)
        note(exports.start_over, export.id, holder)
    except (Unreached, errors.TryLater) as error:
        log.warning("export_postponed", scope=scope, export=export.id, reason=_words(error))
        note(exports.postpone, export.id, holder, _words(error))
    except errors.OrganizationNotFound:
        raise
    except (Refused, errors.PostroomError) as error:
        log.warning("export_failed", scope=scope, export=export.id, reason=_words(error))
        note(exports.fail, export.id, _words(error))
    except Exception:
        log.exception("export_failed", scope=scope, export=export.id)
        note(exports.fail, export.id, "The export failed by an internal error, which the server's log tells.")


def _words(error: Exception) -> str:
    return error.text if isinstance(error, errors.PostroomError) else str(error)


def _tidy(store: Store, scope: int, id: str, holder: str, places: Places) -> None:
    """Leave nothing of the upload of an export that has ended."""
    with store.transaction(scope, write=False) as tx:
        export = exports.find(tx, id)
    if export is None or export.state is ExportState.RUNNING or export.upload is None:
        return
    abandon(export, places)
    with store.transaction(scope) as tx:
        exports.tidied(tx, id)


def abandon(export: Export, places: Places) -> None:
    """Leave nothing of the upload of an export that nobody goes on with; raises `Unreached`."""
    try:
        with closing(places(export)) as upload:
            upload.abort(export.upload or "")
    except Refused as error:  # who may not do that now will not tomorrow
        log.warning("export_not_tidied", export=export.id, reason=str(error))


class Work:
    """One run of the work on one export."""

    def __init__(self, store: Store, scope: int, export: Export, holder: str, upload: Upload, wanted: Wanted) -> None:
        self._store = store
        self._scope = scope
        self._export = export
        self._holder = holder
        self._upload = upload
        self._wanted = wanted
        self._name = ""
        self._plan: Plan
        self._tags: list[str] = []
        self._length = 0
        self._hash = sha384()
        self._total = Count()
        self._draft = Draft()

    def run(self) -> None:
        """Begin or go on, and come to the end; raises `Left`, `Refused`, `Unreached`, `Vanished`."""
        self._begin()
        self._recall()
        while items := self._next_items():
            for item in items:
                self._add(item)
                if len(self._draft.data) >= self._enough:
                    self._put()
        self._close()

    def abandon(self) -> None:
        """Leave nothing of the upload of an export that nobody can note anything of any more."""
        if self._name:
            self._upload.abort(self._name)

    @property
    def _enough(self) -> int:
        return LARGE_PART_BYTES if len(self._tags) >= LARGE_FROM else PART_BYTES

    def _begin(self) -> None:
        if self._export.upload is not None:
            self._name = self._export.upload
            with self._store.transaction(self._scope, write=False) as tx:
                self._plan = exports.plan(tx, self._export.id)
            return
        self._name = self._upload.begin()
        try:
            with self._store.transaction(self._scope) as tx:
                self._require_held(tx)
                self._plan = exports.begin(tx, self._export, self._name)
        except BaseException:
            self._upload.abort(self._name)
            raise

    def _recall(self) -> None:
        """Take the parts that have arrived into account, as far as they come out the same."""
        while self._recall_one(len(self._tags) + 1):
            self._look_up()

    def _recall_one(self, number: int) -> bool:
        with self._store.transaction(self._scope, write=False) as tx:
            part = exports.find_part(tx, self._export.id, number)
        if part is None:
            return False
        made = self._made_anew(part)
        if made is None or sha256(made).digest() != part.digest:
            with self._store.transaction(self._scope) as tx:
                self._require_held(tx)
                exports.drop_parts(tx, self._export.id, number)
            return False
        self._account(part.tag, made, Count(part.messages, part.skipped, part.unpacked))
        self._draft = Draft(part.stage, part.uid)
        return True

    def _made_anew(self, part: Part) -> bytearray | None:
        data = bytearray()
        for noted in _noted(part):
            raw = b"" if noted.content == archive.FOLDER else self._raw(noted.content)
            if raw is None:
                return None
            entry, packed = archives.pack(noted.name, noted.modified, raw)
            data += archives.head(entry)
            data += packed
        return data

    def _raw(self, content: int) -> bytes | None:
        try:
            with self._store.transaction(self._scope, write=False) as tx:
                return contents.read(tx, content)
        except Exception:  # deleted meanwhile, or damaged
            return None

    def _next_items(self) -> list[Item]:
        """Read the next page; at the end of the plan, what has come since."""
        while not (items := self._read()) and not self._plan.complete:
            with self._store.transaction(self._scope) as tx:
                self._require_held(tx)
                self._plan = exports.plan_again(tx, self._export, self._plan)
        return items

    def _read(self) -> list[Item]:
        self._look_up()
        with self._store.transaction(self._scope, write=False) as tx:
            return exports.batch(tx, self._export, self._plan, self._draft.stage, self._draft.uid)

    def _add(self, item: Item) -> None:
        draft = self._draft
        draft.stage, draft.uid = item.stage, item.uid
        if item.content == archive.FOLDER:
            draft.uid = self._plan.stages[item.stage].after
        elif item.raw is None:
            draft.count.skipped += 1
            return
        else:
            draft.count.messages += 1
        assert item.raw is not None
        entry, packed = archives.pack(item.name, item.modified, item.raw)
        draft.data += archives.head(entry)
        draft.data += packed
        draft.count.bytes += entry.size
        draft.noted.append(Noted.of(item.content, entry))

    def _put(self) -> None:
        """Put the part under way, note it, and begin the next."""
        draft, data, number = self._draft, self._draft.data, len(self._tags) + 1
        tag = self._upload.put(self._name, number, self._length, data)
        self._account(tag, data, draft.count)
        counted = (draft.count.messages, draft.count.skipped, draft.count.bytes)
        entries = msgspec.msgpack.encode(draft.noted)
        part = Part(number, tag, sha256(data).digest(), len(data), draft.stage, draft.uid, *counted, entries)
        with self._store.transaction(self._scope) as tx:
            self._require_held(tx)
            exports.keep_part(tx, self._export.id, part, self._progress())
        self._draft = Draft(draft.stage, draft.uid)
        self._look_up()

    def _account(self, tag: str, data: bytes | bytearray, count: Count) -> None:
        self._tags.append(tag)
        self._length += len(data)
        self._hash.update(data)
        self._total.messages += count.messages
        self._total.skipped += count.skipped
        self._total.bytes += count.bytes

    def _progress(self) -> int:
        return min(99, 100 * self._total.bytes // max(1, self._plan.bytes))

    def _close(self) -> None:
        """Put what is left and the directory, and make one object of it all."""
        noted_parts = len(self._tags)
        draft, self._draft = self._draft, Draft()
        offset = self._length + len(draft.data)
        entries = length = 0
        rest = draft.data
        self._total.messages += draft.count.messages
        self._total.skipped += draft.count.skipped
        for piece in self._directory(noted_parts, draft.noted):
            rest += piece
            entries += 1
            length += len(piece)
            if len(rest) >= self._enough:
                self._put_rest(rest)
                rest = bytearray()
        rest += archives.ending(entries, length, offset)
        self._put_rest(rest)
        with self._store.transaction(self._scope) as tx:
            self._require_held(tx)
            exports.close(tx, self._export.id)
        self._upload.write(self._export.log_path, self._log())  # first: an archive that is whole is never uploaded again for its log
        self._upload.finish(self._name, self._tags, self._length)
        with self._store.transaction(self._scope) as tx:
            self._require_held(tx)
            exports.complete(tx, self._export.id)

    def _put_rest(self, data: bytearray) -> None:
        """Put a part that is not noted: it is quickly made again."""
        self._look_up()
        tag = self._upload.put(self._name, len(self._tags) + 1, self._length, data)
        self._account(tag, data, Count())

    def _directory(self, parts: int, last: list[Noted]) -> Iterator[bytes]:
        offset = 0
        for noted in itertools.chain(self._noted_in(parts), last):
            entry = noted.entry
            yield archives.listing(entry, offset)
            offset += entry.length

    def _noted_in(self, parts: int) -> Iterator[Noted]:
        for number in range(1, parts + 1):
            with self._store.transaction(self._scope, write=False) as tx:
                part = exports.find_part(tx, self._export.id, number)
            if part is None:
                raise Left
            yield from _noted(part)

    def _log(self) -> bytes:
        told = {
            "totalNonExportableItems": self._total.skipped,
            "totalMessages": self._total.messages,
            "sha384Hash": self._hash.hexdigest(),
            "totalBytes": self._length,
            "totalFolders": self._plan.folders,
            "startTime": int(self._export.started_at),
            "endTime": int(self._store.now()),
        }
        return msgspec.json.format(msgspec.json.encode({name: str(value) for name, value in told.items()}), indent=2)

    def _look_up(self) -> None:
        if not self._wanted():
            raise Left

    def _require_held(self, tx: Tx) -> None:
        if not exports.held(tx, self._export.id, self._holder):
            raise Left


def _noted(part: Part) -> list[Noted]:
    return msgspec.msgpack.decode(part.entries, type=list[Noted])
