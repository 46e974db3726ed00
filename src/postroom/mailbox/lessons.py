"""What users teach filters: who moves a letter into Junk Email says that it is junk, who takes one out that it is not.

It is noted in the transaction that moves the letter, by whatever client, and taught later. It is noted only for a server that teaches a
filter, which says from time to time that it wants to hear of it (`want`). Deleting what lies in Junk Email says nothing, nor does what is
delivered there. Of a letter the last word counts, of many that are moved at once only the first are taken, and their number is bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from postroom.mailbox import contents
from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import lessons as rows

MOST_AT_ONCE = 100
MOST_WAITING = 5000
WANTED_SECONDS = 3 * 86_400.0
RENEWED_SECONDS = 86_400.0
LIFETIME_SECONDS = 3 * 86_400.0
"""After this a lesson that cannot be taught is given up."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 60.0, 3600.0
_SILENT = frozenset({"junk", "trash", "recoverableitemsdeletions"})


@dataclass(frozen=True, slots=True)
class Lesson:
    """A letter and whether it is junk; `letter` is None when it has gone."""

    content: int
    spam: bool
    noted_at: float
    attempts: int
    letter: bytes | None


def note(tx: Tx, source: int, target: int, moved: Sequence[int]) -> None:
    """Note what it says that contents have been moved or copied from one folder to another, if it says anything."""
    if source == target or not moved:
        return
    there, here = rows.roles(tx, (source, target))
    spam = here == "junk" != there
    if not spam and (there != "junk" or here in _SILENT):
        return
    if rows.wanted_until(tx) > tx.now and rows.count(tx, MOST_WAITING) < MOST_WAITING:
        rows.put(tx, dict.fromkeys(moved[:MOST_AT_ONCE]), spam=spam)


def want(tx: Tx) -> None:
    """Let lessons be noted for the next days."""
    if rows.wanted_until(tx) < tx.now + WANTED_SECONDS - RENEWED_SECONDS:
        rows.want(tx, tx.now + WANTED_SECONDS)


def is_wanted(tx: Tx) -> bool:
    """Say whether it has been said lately that they are."""
    return rows.wanted_until(tx) >= tx.now + WANTED_SECONDS - RENEWED_SECONDS


def is_kept(tx: Tx) -> bool:
    """Say whether there is anything to forget."""
    return rows.wanted_until(tx) > 0 or rows.count(tx, 1) > 0


def forget(tx: Tx) -> int:
    """Forget all of them, and have no more noted; counts them."""
    return rows.delete_all(tx)


def due(tx: Tx, limit: int) -> list[Lesson]:
    """List lessons that are due."""
    return [Lesson(*row, _read(tx, row[0])) for row in rows.due(tx, limit)]


def done(tx: Tx, lesson: Lesson) -> None:
    """Forget a lesson, unless another has been noted of its letter meanwhile."""
    rows.delete(tx, lesson.content, lesson.noted_at)


def again(tx: Tx, lesson: Lesson) -> None:
    """Teach a lesson later, or give it up."""
    if tx.now - lesson.noted_at > LIFETIME_SECONDS:
        done(tx, lesson)
        return
    wait = min(FIRST_WAIT_SECONDS * 2.0 ** min(lesson.attempts, 16), LONGEST_WAIT_SECONDS)
    rows.postpone(tx, lesson.content, lesson.noted_at, due_at=tx.now + wait)


def _read(tx: Tx, content: int) -> bytes | None:
    try:
        return contents.read(tx, content)
    except errors.PostroomError:
        return None
