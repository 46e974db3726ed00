"""FETCH: read messages (RFC 3501 §6.4.5; CHANGEDSINCE RFC 7162 §3.1.4).

Answers come in batches, so that a client that reads slowly holds two batches and not a mailbox: one is written while the next is
read. Where reading marks messages \\Seen, each batch is first measured, then marked, then read, and its answers say what the flags are
now.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

from postroom.mailbox import items
from postroom.mailbox.items import StoreResult
from postroom.model.flags import Flag
from postroom.protocols.imap import rendering, updates
from postroom.protocols.imap.commands.enable import use_condstore
from postroom.protocols.imap.grammar import answers, sets
from postroom.protocols.imap.grammar.commands import Fetch
from postroom.protocols.imap.rendering import Batch, Plan
from postroom.protocols.imap.session import Caught, Selected, Session
from postroom.protocols.imap.steps import Look, Read, Step, Steps, Write, WriteWhile
from postroom.protocols.imap.view import Slice

CHUNK = 2 << 20
"""Octets written at once: a large message waits for its reader by pieces."""
FEW = 8
"""Messages that are read at once, without waking a thread."""


def fetch(session: Session, command: Fetch) -> Steps:
    """Give what is asked of each message; UID FETCH gives UIDs too."""
    selected = session.open
    if command.changed_since is not None or b"MODSEQ" in command.attributes:
        yield use_condstore(session)
    extra = [b"UID"] if command.uid else []
    if command.changed_since is not None:
        extra.append(b"MODSEQ")
    plan = rendering.compile_plan(command.attributes, *extra)
    rest: Sequence[Slice] = selected.view.resolve(command.numbers, command.uid)
    missing = 0
    written: Iterable[bytes] = ()
    read = Look if sum(stop - start for start, stop in rest) <= FEW else Read
    while rest:
        now = rendering.split(rest, plan.rows)[0]
        using = plan
        if plan.marks_seen and not selected.read_only:
            fitting, unseen = yield read(rendering.measure, selected, now, command.changed_since)
            now = rendering.split(now, fitting)[0]
            if unseen:
                yield from written
                written = ()
                yield (yield from _mark_seen(selected, unseen))
                using = _with_flags(command, selected, extra)
        reading = read(rendering.batch, selected.mailbox, selected, using, now, command.changed_since)
        batch: Batch = yield WriteWhile(written, reading) if written else reading
        written = _pieces(batch.data if batch.names is None else [selected.rename(batch.names), *batch.data])
        missing += batch.missing
        rest = rendering.split(rest, batch.taken)[1]
    yield from written
    if missing and not command.uid:
        return answers.ok(b"FETCH completed, but some messages are gone.", b"EXPUNGEISSUED")
    return answers.ok(b"FETCH completed.")


def _pieces(answers: Iterable[bytes]) -> Iterator[bytes]:
    """Cut what is large, so that it can wait for its reader by pieces."""
    for data in answers:
        if len(data) <= CHUNK:
            yield data
        else:
            yield from (data[at : at + CHUNK] for at in range(0, len(data), CHUNK))


def _mark_seen(selected: Selected, unseen: Sequence[int]) -> Generator[Step, Any, bytes]:
    """Mark messages \\Seen; gives what there is to tell about changes by others."""
    stored: tuple[Caught, StoreResult] = yield Write(
        updates.quietly,
        selected,
        items.set_flags,
        selected.mailbox,
        selected.folder.id,
        sets.ranges(unseen),
        "add",
        int(Flag.SEEN),
        None,
        False,
    )
    caught, result = stored
    out = yield from updates.tell(selected, caught, expunges=False)
    selected.modseq = max(selected.modseq, result.modseq)
    return out


def _with_flags(command: Fetch, selected: Selected, extra: Sequence[bytes]) -> Plan:
    """Make a plan that tells the flags too, since reading has changed them."""
    more = [b"FLAGS"] + ([b"MODSEQ"] if selected.condstore else [])
    return rendering.compile_plan(command.attributes, *extra, *(name for name in more if name not in extra))
