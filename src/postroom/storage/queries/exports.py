"""Exports of mailboxes: the jobs, what each goes through, and the parts of it that have arrived."""

from __future__ import annotations

from typing import Any

from postroom.model.exports import Export, ExportState, Part
from postroom.storage.engine import Tx

_COLUMNS = "id, entity, mailbox, description, role_arn, key_arn, bucket, prefix, path, state, progress, error, started_at, ended_at, upload"
_STATE = _COLUMNS.split(", ").index("state")
_OF_ONE = "organization = :organization AND id = :id"
_OF_EXPORT = "organization = :organization AND export = :export"
_UNSETTLED = f"(state = '{ExportState.RUNNING}' OR upload IS NOT NULL)"


def insert(tx: Tx, export: Export) -> None:
    """Insert an export that is due at once."""
    tx.run(
        f"INSERT INTO exports (organization, {_COLUMNS}, closing, failures, restarts, holder, due_at) VALUES (:organization, :id, :entity,"
        " :mailbox, :description, :role_arn, :key_arn, :bucket, :prefix, :path, :state, :progress, :error, :started_at, :ended_at,"
        " :upload, 0, 0, 0, '', :started_at)",
        id=export.id,
        entity=export.entity,
        mailbox=export.mailbox,
        description=export.description,
        role_arn=export.role_arn,
        key_arn=export.key_arn,
        bucket=export.bucket,
        prefix=export.prefix,
        path=export.path,
        state=export.state,
        progress=export.progress,
        error=export.error,
        started_at=export.started_at,
        ended_at=export.ended_at,
        upload=export.upload,
    )


def find(tx: Tx, id: str) -> Export | None:
    """Find an export by its id."""
    row = tx.one(f"SELECT {_COLUMNS} FROM exports WHERE {_OF_ONE}", id=id)
    return _export(row) if row else None


def page(tx: Tx, since: float, after: tuple[float, str] | None, limit: int) -> list[Export]:
    """List exports begun since a time or still running, the newest first, behind the (begin, id) of one."""
    started_at, id = after or (0.0, "")
    behind = "" if after is None else " AND (started_at < :started_at OR (started_at = :started_at AND id < :id))"
    rows = tx.all(
        f"SELECT {_COLUMNS} FROM exports WHERE organization = :organization AND (started_at >= :since OR state = :running)"
        f"{behind} ORDER BY started_at DESC, id DESC LIMIT :limit",
        since=since,
        running=ExportState.RUNNING,
        started_at=started_at,
        id=id,
        limit=limit,
    )
    return [_export(row) for row in rows]


def count_running(tx: Tx) -> int:
    """Count the exports that are running."""
    row = tx.one("SELECT count(*) FROM exports WHERE organization = :organization AND state = :running", running=ExportState.RUNNING)
    assert row is not None
    return int(row[0])


def exported_since(tx: Tx, mailbox: int, since: float) -> bool:
    """Say whether an export of a mailbox runs, or was begun since a time and completed."""
    return bool(
        tx.one(
            "SELECT 1 FROM exports WHERE organization = :organization AND mailbox = :mailbox"
            " AND (state = :running OR (state = :completed AND started_at > :since)) LIMIT 1",
            mailbox=mailbox,
            since=since,
            running=ExportState.RUNNING,
            completed=ExportState.COMPLETED,
        )
    )


def due(tx: Tx) -> list[str]:
    """List the exports that wait for somebody to take them, the oldest first."""
    rows = tx.all(
        f"SELECT id FROM exports WHERE organization = :organization AND {_UNSETTLED} AND due_at <= :now ORDER BY started_at, id",
        now=tx.now,
    )
    return [id for (id,) in rows]


def take(tx: Tx, id: str, holder: str, until: float) -> bool:
    """Let a holder have an export that is due, or its own, until a time; False when another has it."""
    return bool(
        tx.run(
            f"UPDATE exports SET holder = :holder, due_at = :until WHERE {_OF_ONE} AND {_UNSETTLED}"
            " AND (due_at <= :now OR holder = :holder)",
            id=id,
            holder=holder,
            until=until,
            now=tx.now,
        )
    )


def keep(tx: Tx, id: str, holder: str, until: float) -> None:
    """Let a holder have what is its own until a time."""
    tx.run(f"UPDATE exports SET due_at = :until WHERE {_OF_ONE} AND holder = :holder", id=id, holder=holder, until=until)


def held(tx: Tx, id: str, holder: str) -> bool:
    """Say whether an export is running and this holder's."""
    return bool(
        tx.one(
            f"SELECT 1 FROM exports WHERE {_OF_ONE} AND holder = :holder AND state = :running",
            id=id,
            holder=holder,
            running=ExportState.RUNNING,
        )
    )


def release(tx: Tx, id: str, holder: str, due_at: float, *, failures: int) -> None:
    """Give an export back, to be taken again from a time on, after so many failures in a row."""
    tx.run(
        f"UPDATE exports SET holder = '', due_at = :due_at, failures = :failures WHERE {_OF_ONE} AND holder = :holder",
        id=id,
        holder=holder,
        due_at=due_at,
        failures=failures,
    )


def release_all(tx: Tx) -> None:
    """Let every export be taken at once: nobody else can be at work."""
    tx.run(
        f"UPDATE exports SET holder = '', due_at = :now WHERE organization = :organization AND {_UNSETTLED} AND holder <> ''", now=tx.now
    )


def failures(tx: Tx, id: str) -> int:
    """Give how often the place could not be reached since a part last arrived."""
    row = tx.one(f"SELECT failures FROM exports WHERE {_OF_ONE}", id=id)
    return 0 if row is None else int(row[0])


def count_restart(tx: Tx, id: str) -> int:
    """Count that an upload was lost; gives how many were."""
    row = tx.one(f"UPDATE exports SET restarts = restarts + 1 WHERE {_OF_ONE} RETURNING restarts", id=id)
    return 0 if row is None else int(row[0])


def begin(tx: Tx, id: str, upload: str, plan: bytes) -> None:
    """Note the upload an export has begun, and what it goes through."""
    tx.run(f"UPDATE exports SET upload = :upload WHERE {_OF_ONE}", id=id, upload=upload)
    tx.run("INSERT INTO export_plans (organization, export, plan) VALUES (:organization, :export, :plan)", export=id, plan=plan)


def plan(tx: Tx, id: str) -> bytes | None:
    """Find what an export goes through."""
    row = tx.one(f"SELECT plan FROM export_plans WHERE {_OF_EXPORT}", export=id)
    return None if row is None else row[0]


def extend_plan(tx: Tx, id: str, plan: bytes) -> None:
    """Change what an export goes through."""
    tx.run(f"UPDATE export_plans SET plan = :plan WHERE {_OF_EXPORT}", export=id, plan=plan)


def insert_part(tx: Tx, id: str, part: Part, progress: int) -> None:
    """Note that a part has arrived."""
    tx.run(
        "INSERT INTO export_parts (organization, export, number, tag, digest, length, stage, uid, messages, skipped, unpacked, entries)"
        " VALUES (:organization, :export, :number, :tag, :digest, :length, :stage, :uid, :messages, :skipped, :unpacked, :entries)",
        export=id,
        number=part.number,
        tag=part.tag,
        digest=part.digest,
        length=part.length,
        stage=part.stage,
        uid=part.uid,
        messages=part.messages,
        skipped=part.skipped,
        unpacked=part.unpacked,
        entries=part.entries,
    )
    tx.run(f"UPDATE exports SET progress = :progress, failures = 0 WHERE {_OF_ONE}", id=id, progress=progress)


def find_part(tx: Tx, id: str, number: int) -> Part | None:
    """Find a part that has arrived."""
    row = tx.one(
        "SELECT number, tag, digest, length, stage, uid, messages, skipped, unpacked, entries FROM export_parts"
        f" WHERE {_OF_EXPORT} AND number = :number",
        export=id,
        number=number,
    )
    return Part(*row) if row else None


def delete_parts(tx: Tx, id: str, first: int) -> None:
    """Forget the parts from a number on."""
    tx.run(f"DELETE FROM export_parts WHERE {_OF_EXPORT} AND number >= :first", export=id, first=first)


def set_closing(tx: Tx, id: str) -> None:
    """Note that the parts are being made one object."""
    tx.run(f"UPDATE exports SET closing = 1 WHERE {_OF_ONE}", id=id)


def cancel(tx: Tx, id: str) -> bool:
    """Cancel an export that is running and not closing, due at once to be tidied away; False when there is none."""
    return bool(
        tx.run(
            "UPDATE exports SET state = :cancelled, ended_at = :now, due_at = CASE WHEN holder = '' THEN :now ELSE due_at END"
            f" WHERE {_OF_ONE} AND state = :running AND closing = 0",
            id=id,
            cancelled=ExportState.CANCELLED,
            running=ExportState.RUNNING,
            now=tx.now,
        )
    )


def end(tx: Tx, id: str, state: ExportState, error: str | None = None) -> None:
    """End an export that is running."""
    tx.run(
        "UPDATE exports SET state = :state, error = :error, ended_at = :now,"
        f" progress = CASE WHEN :done = 1 THEN 100 ELSE progress END WHERE {_OF_ONE} AND state = :running",
        id=id,
        state=state,
        error=error,
        now=tx.now,
        done=int(state is ExportState.COMPLETED),
        running=ExportState.RUNNING,
    )


def clear(tx: Tx, id: str) -> None:
    """Forget the upload of an export with all that was noted of it."""
    delete_parts(tx, id, 0)
    tx.run(f"DELETE FROM export_plans WHERE {_OF_EXPORT}", export=id)
    tx.run(f"UPDATE exports SET upload = NULL, closing = 0 WHERE {_OF_ONE}", id=id)


def expired(tx: Tx, before: float, limit: int) -> list[str]:
    """List exports begun before a time that are not running."""
    rows = tx.all(
        "SELECT id FROM exports WHERE organization = :organization AND started_at < :before AND state <> :running"
        " ORDER BY started_at, id LIMIT :limit",
        before=before,
        running=ExportState.RUNNING,
        limit=limit,
    )
    return [id for (id,) in rows]


def delete(tx: Tx, id: str) -> None:
    """Forget an export altogether."""
    clear(tx, id)
    tx.run(f"DELETE FROM exports WHERE {_OF_ONE}", id=id)


def items(tx: Tx, folder: int, after: int, last: int, limit: int) -> list[tuple[int, int, int, int, str]]:
    """List (uid, content, size, received at, kind) of a page of a folder's items, behind a UID up to another."""
    return tx.all(
        "SELECT uid, content, size, received_at, kind FROM items WHERE organization = :organization AND folder = :folder"
        " AND uid > :after AND uid <= :last ORDER BY uid LIMIT :limit",
        folder=folder,
        after=after,
        last=last,
        limit=limit,
    )


def mailbox_exists(tx: Tx, mailbox: int) -> bool:
    """Say whether a mailbox is still there, parked or not."""
    return tx.one("SELECT 1 FROM mailboxes WHERE organization = :organization AND id = :id", id=mailbox) is not None


def _export(row: tuple[Any, ...]) -> Export:
    fields = list(row)
    fields[_STATE] = ExportState(row[_STATE])
    return Export(*fields)
