"""APPEND: bring messages in (RFC 3501 §6.3.11; several at once RFC 3502, APPENDUID RFC 4315 §3)."""

from collections.abc import Sequence
from dataclasses import dataclass

from postroom.mailbox import items, keywords
from postroom.mailbox.access import Mailbox
from postroom.mailbox.contents import Prepared
from postroom.mailbox.items import Appended
from postroom.model import errors
from postroom.protocols.imap import places
from postroom.protocols.imap.errors import try_create
from postroom.protocols.imap.grammar import answers, sets
from postroom.protocols.imap.grammar.commands import Append, Flags
from postroom.protocols.imap.places import Origin
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Prepare, Steps, Write
from postroom.storage.engine import Tx


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message ready to be kept."""

    prepared: Prepared
    flags: Flags
    received_at: int | None


def append(session: Session, command: Append) -> Steps:
    """Put messages into a folder, all or none; the answer comes when they are durable.

    An empty message after others is how a client takes the command back (RFC 3502 §6.3.11).
    """
    if len(command.messages) > 1 and not all(message.content.size for message in command.messages):
        return answers.no(b"APPEND taken back.")
    ready = []
    for message in command.messages:
        prepared: Prepared = yield Prepare(message.content)
        ready.append(Incoming(prepared, message.flags, message.received_at))
    try:
        folder, appended = yield Write(_append, session.origin, command.mailbox, ready)
    except errors.FolderNotFound as error:
        return try_create(error)
    session.changed(folder)
    return answers.ok(
        b"APPEND completed.",
        b"APPENDUID %d %b" % (appended[0].uidvalidity, sets.render(message.uid for message in appended)),
    )


def _append(tx: Tx, origin: Origin, name: str, ready: Sequence[Incoming]) -> tuple[int, list[Appended]]:
    place = places.find(tx, origin, name)
    folder, mailbox = place.folder(tx), place.mailbox
    return folder.id, [
        items.append(
            tx,
            mailbox,
            folder.id,
            message.prepared,
            flags=message.flags.mask | _keywords(tx, mailbox, message.flags),
            received_at=message.received_at,
        )
        for message in ready
    ]


def _keywords(tx: Tx, mailbox: Mailbox, flags: Flags) -> int:
    return keywords.mask(tx, mailbox, flags.keywords, create=True) if flags.keywords else 0
