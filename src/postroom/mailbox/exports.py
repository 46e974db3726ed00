"""Export jobs: asked for, described, cancelled, and what the work on one notes of its progress.

Ten may run at once in an organization, and a mailbox is exported once in 24 hours; one that failed or was cancelled does not count. They
are shown for seven days from their begin, then forgotten.

WorkMail API: StartMailboxExportJob, DescribeMailboxExportJob, ListMailboxExportJobs, CancelMailboxExportJob
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec

from postroom.directory import entities
from postroom.directory.mailboxes import OWNERS
from postroom.mailbox import archive
from postroom.mailbox.access import Mailbox, open_for_export
from postroom.mailbox.archive import Item, Plan
from postroom.model import errors
from postroom.model.exports import Export, ExportState, Part
from postroom.storage.engine import Tx
from postroom.storage.queries import exports as queries
from postroom.storage.queries import mailboxes

TOPIC = "exports"
"""Woken when an export has been asked for."""
RUNNING_AT_ONCE = 10
BETWEEN_SECONDS = 24 * 3600.0
SHOWN_SECONDS = 7 * 86_400.0
LEASE_SECONDS = 60.0
"""How long an export is left to a process that is not heard of."""
RETRY_SECONDS = (5.0, 30.0, 120.0, 600.0)
"""How long an export waits when its place cannot be reached, each time in a row; the next time it fails."""
RESTARTS = 3
"""How often an export begins again whose upload was lost."""
TIDY_SECONDS = 600.0
"""How long what is left of an upload waits when its place cannot be reached."""
LONGEST_PATH = 1023
LONGEST_ERROR = 1024
PURGED_AT_ONCE = 100


def start(tx: Tx, reference: str, *, bucket: str, prefix: str, role_arn: str, key_arn: str, description: str | None) -> Export:
    """Ask for an export; raises `EntityNotFound` for whoever has no mailbox, `LimitExceeded`, `InvalidParameter`."""
    owner = entities.get(tx, reference, OWNERS)
    mailbox = mailboxes.find_by_owner(tx, owner.id)
    if mailbox is None:
        raise errors.EntityNotFound(f"{owner.name} has no mailbox.")
    if queries.exported_since(tx, mailbox[0], tx.now - BETWEEN_SECONDS):
        raise errors.LimitExceeded(f"The mailbox of {owner.name} is being exported, or was within the last 24 hours.")
    if queries.count_running(tx) >= RUNNING_AT_ONCE:
        raise errors.LimitExceeded(f"{RUNNING_AT_ONCE} exports are running; no more may be started.")
    id = str(uuid.uuid4())
    export = Export(
        id=id,
        entity=owner.id,
        mailbox=mailbox[0],
        description=description,
        role_arn=role_arn,
        key_arn=key_arn,
        bucket=bucket,
        prefix=prefix,
        path=_path(prefix, f"{id}.zip"),
        state=ExportState.RUNNING,
        progress=0,
        error=None,
        started_at=tx.now,
        ended_at=None,
        upload=None,
    )
    queries.insert(tx, export)
    tx.changes.wake(TOPIC)
    return export


def get(tx: Tx, id: str) -> Export:
    """Get an export that is still shown; raises `EntityNotFound`."""
    found = queries.find(tx, id)
    if found is None or (found.started_at < tx.now - SHOWN_SECONDS and found.state is not ExportState.RUNNING):
        raise errors.EntityNotFound(f"There is no mailbox export job {id}.")
    return found


def page(tx: Tx, after: tuple[float, str] | None, limit: int) -> list[Export]:
    """List the exports that are shown, the newest first."""
    return queries.page(tx, tx.now - SHOWN_SECONDS, after, limit)


def cancel(tx: Tx, id: str) -> None:
    """Cancel an export; one that has ended, or is about to, stays as it is. Raises `EntityNotFound`."""
    get(tx, id)
    if queries.cancel(tx, id):
        tx.changes.wake(TOPIC)


def purge(tx: Tx) -> int:
    """Forget some of the exports that are shown no more; counts them."""
    gone = queries.expired(tx, tx.now - SHOWN_SECONDS, PURGED_AT_ONCE)
    for id in gone:
        queries.delete(tx, id)
    return len(gone)


# The work


def due(tx: Tx) -> list[str]:
    """List the exports that wait for somebody to work on them."""
    return queries.due(tx)


def take(tx: Tx, id: str, holder: str) -> bool:
    """Take an export to work on it; False when another has it or nothing is left to do."""
    return queries.take(tx, id, holder, tx.now + LEASE_SECONDS)


def keep(tx: Tx, id: str, holder: str) -> None:
    """Keep an export for longer, if it is still this holder's."""
    queries.keep(tx, id, holder, tx.now + LEASE_SECONDS)


def release_all(tx: Tx) -> None:
    """Let every export be taken at once, where nobody else can be at work."""
    queries.release_all(tx)


def release(tx: Tx, id: str, holder: str) -> None:
    """Give an export back, for whoever comes next."""
    queries.release(tx, id, holder, tx.now, failures=queries.failures(tx, id))


def postpone(tx: Tx, id: str, holder: str, error: str) -> None:
    """Try again later, or let an export fail whose place could not be reached too often."""
    failed = queries.failures(tx, id)
    if failed < len(RETRY_SECONDS):
        queries.release(tx, id, holder, tx.now + RETRY_SECONDS[failed], failures=failed + 1)
    else:
        fail(tx, id, error)


def tidy_later(tx: Tx, id: str, holder: str) -> None:
    """Leave what is left of an upload for later."""
    queries.release(tx, id, holder, tx.now + TIDY_SECONDS, failures=0)


def fail(tx: Tx, id: str, error: str) -> None:
    """Let an export that is running fail, and say why."""
    queries.end(tx, id, ExportState.FAILED, error[:LONGEST_ERROR])


def find(tx: Tx, id: str) -> Export | None:
    """Find an export."""
    return queries.find(tx, id)


def held(tx: Tx, id: str, holder: str) -> bool:
    """Say whether an export runs and is this holder's to work on."""
    return queries.held(tx, id, holder)


def begin(tx: Tx, export: Export, upload: str) -> Plan:
    """Note the upload that has begun, and plan what it will hold; raises `EntityNotFound` where the mailbox has gone."""
    made = archive.plan(tx, _mailbox(tx, export))
    queries.begin(tx, export.id, upload, msgspec.msgpack.encode(made))
    return made


def plan(tx: Tx, id: str) -> Plan:
    """Give the plan of an export that has begun."""
    found = queries.plan(tx, id)
    assert found is not None
    return msgspec.msgpack.decode(found, type=Plan)


def plan_again(tx: Tx, export: Export, made: Plan) -> Plan:
    """Add what has come since; raises `EntityNotFound` where the mailbox has gone."""
    added = archive.again(tx, _mailbox(tx, export), made)
    queries.extend_plan(tx, export.id, msgspec.msgpack.encode(added))
    return added


def batch(tx: Tx, export: Export, made: Plan, stage: int, uid: int) -> list[Item]:
    """Read the next items of an export; raises `EntityNotFound` where the mailbox has gone."""
    _mailbox(tx, export)
    return archive.batch(tx, made, stage, uid)


def keep_part(tx: Tx, id: str, part: Part, progress: int) -> None:
    """Note a part that has arrived."""
    queries.insert_part(tx, id, part, progress)


def find_part(tx: Tx, id: str, number: int) -> Part | None:
    """Find a part that has arrived."""
    return queries.find_part(tx, id, number)


def drop_parts(tx: Tx, id: str, first: int) -> None:
    """Forget the parts from a number on, to write them anew."""
    queries.delete_parts(tx, id, first)


def close(tx: Tx, id: str) -> None:
    """Note that an export is about to be complete, too late to cancel it."""
    queries.set_closing(tx, id)


def complete(tx: Tx, id: str) -> None:
    """Note that an export is where it was to go."""
    queries.end(tx, id, ExportState.COMPLETED)
    queries.clear(tx, id)


def start_over(tx: Tx, id: str, holder: str) -> None:
    """Begin again with an export whose upload was lost, or let it fail if too many were."""
    queries.clear(tx, id)
    if queries.count_restart(tx, id) > RESTARTS:
        fail(tx, id, "The bucket has lost what was uploaded, again and again.")
    else:
        queries.release(tx, id, holder, tx.now + RETRY_SECONDS[0], failures=0)


def tidied(tx: Tx, id: str) -> None:
    """Note that nothing is left of the upload of an export that has ended."""
    queries.clear(tx, id)


def _mailbox(tx: Tx, export: Export) -> Mailbox:
    if not queries.mailbox_exists(tx, export.mailbox):
        raise errors.EntityNotFound("The mailbox was deleted before it was exported.")
    return open_for_export(tx, export.entity, export.mailbox)


def _path(prefix: str, name: str) -> str:
    """Put a name behind a prefix, with one slash between, whether the prefix ends with one or not."""
    path = "/".join(part for part in (prefix.strip("/"), name) if part)
    if len(path) > LONGEST_PATH:
        raise errors.InvalidParameter("The S3 prefix is too long.")
    return path


def file_names(path: str) -> Sequence[str]:
    """Give the names that lead to a file below a folder; raises `InvalidParameter` for those that lead elsewhere."""
    names = [name for name in path.split("/") if name]
    if any(name in (".", "..") for name in names) or any(len(name) > 255 for name in names):
        raise errors.InvalidParameter("The S3 prefix has a part that cannot be a folder.")
    return names
