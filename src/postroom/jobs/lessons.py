"""Teaches a filter what users have moved into and out of Junk Email, a few letters at a time, and tries again where that fails."""

from collections.abc import Callable

import structlog

from postroom.jobs import pacing
from postroom.mailbox import lessons
from postroom.mailbox.lessons import Lesson
from postroom.mailflow.filters.wire import Unavailable
from postroom.storage.engine import Store

PAGE = 10
MOST = 1000
"""Lessons of one run."""
Learn = Callable[[bytes, bool], bool]
"""Teaches a letter, and whether it is junk; False when nothing was learned from it, raises `Unavailable`."""

log = structlog.get_logger("postroom.jobs")


def teach(learn: Learn) -> Callable[[Store, int], int]:
    """Give the work of an organization, which counts what the filter has learned and has lessons noted from now on."""

    def work(store: Store, scope: int) -> int:
        with store.transaction(scope, write=False) as tx:
            wanted = lessons.is_wanted(tx)
        if not wanted:
            with store.transaction(scope) as tx:
                lessons.want(tx)
        learned = taught = 0
        while taught < MOST:
            with store.transaction(scope, write=False) as tx:
                page = lessons.due(tx, PAGE)
            done, failed = _teach(learn, page, scope)
            learned += sum(new for _, new in done)
            _write_down(store, scope, [lesson for lesson, _ in done], failed)
            taught += len(done)
            if failed is not None or len(page) < PAGE:
                break
        return learned

    return work


def _teach(learn: Learn, page: list[Lesson], scope: int) -> tuple[list[tuple[Lesson, bool]], Lesson | None]:
    """Teach lessons until one fails; gives those that are done, each with whether anything was learned from it, and the one that failed."""
    done: list[tuple[Lesson, bool]] = []
    for lesson in page:
        try:
            done.append((lesson, lesson.letter is not None and learn(lesson.letter, lesson.spam)))
        except Unavailable as error:
            log.warning("lesson_not_taught", scope=scope, reason=str(error))
            return done, lesson
    return done, None


def _write_down(store: Store, scope: int, done: list[Lesson], failed: Lesson | None) -> None:
    if not done and failed is None:
        return
    with pacing.transaction(store, scope) as tx:
        for lesson in done:
            lessons.done(tx, lesson)
        if failed is not None:
            lessons.again(tx, failed)


def forget(store: Store, scope: int) -> int:
    """Forget all lessons, where nobody is taught them any more; counts them."""
    with store.transaction(scope, write=False) as tx:
        if not lessons.is_kept(tx):
            return 0
    with pacing.transaction(store, scope) as tx:
        return lessons.forget(tx)
