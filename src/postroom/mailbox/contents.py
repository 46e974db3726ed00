"""Contents: what a message says, computed once outside any transaction and kept once per organization."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from postroom.formats import message
from postroom.formats.message import Summary
from postroom.model import errors
from postroom.storage.blobs import Blob
from postroom.storage.engine import Store, Tx
from postroom.storage.queries import contents as queries
from postroom.storage.queries import words

TOPIC = "words"
"""Woken when a content waits to be indexed."""
_SWEEP_PAGE = 1000
"""Contents looked at in one transaction: some milliseconds, for which writers wait."""

log = structlog.get_logger("postroom.mailbox")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A content ready to be kept in a transaction."""

    blob: Blob
    summary: Summary
    kind: str = "message"

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.blob.size


def prepare(store: Store, scope: int, raw: bytes) -> Prepared:
    """Parse and hash a message, and write it to a durable file if it is large; never inside a transaction.

    Lines that end otherwise get their CRLF here, so that no later hop can take a bare LF for something else (RFC 5322 §2.3).
    """
    if raw.count(b"\n") != raw.count(b"\r\n"):
        raw = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return Prepared(store.blobs(scope).prepare(raw), message.summarize(raw))


def written(tx: Tx, raw: bytes) -> Prepared:
    """Parse and hash a message that this server writes within the transaction that keeps it; its lines end as they must."""
    return Prepared(tx.blobs.prepare(raw), message.summarize(raw))


def keep(tx: Tx, prepared: Prepared) -> int:
    """Give the id of the content, inserting it unless the organization has it already."""
    known = queries.find(tx, prepared.blob.hash)
    if known is not None:
        return known
    summary = prepared.summary
    return queries.insert(
        tx,
        {
            "hash": prepared.blob.hash,
            "kind": prepared.kind,
            "size": prepared.blob.size,
            "file": prepared.blob.file,
            "codec": prepared.blob.codec,
            "sent_at": summary.sent_at,
            "sent_wall": summary.sent_wall,
            "envelope": summary.envelope,
            "structure": summary.structure,
            "parts": summary.parts,
            "subject": summary.subject,
            "sender": summary.sender,
            "to": summary.to,
            "cc": summary.cc,
            "bcc": summary.bcc,
            "message_id": summary.message_id.casefold(),
            "in_reply_to": summary.in_reply_to.casefold(),
            "refs": summary.references.casefold(),
            "attachments": summary.attachments,
        },
        prepared.blob.data,
    )


def await_index(tx: Tx, content: int) -> None:
    """Have the words of a content indexed that lies in a mailbox by now, unless they are; what is only under way nobody searches."""
    words.await_index(tx, content)
    tx.changes.wake(TOPIC)


def read(tx: Tx, content: int) -> bytes:
    """Give the bytes of a content; raises `ItemNotFound`."""
    found = queries.read(tx, content)
    if found is None:
        raise errors.ItemNotFound()
    data, file, codec = found
    if data is not None:
        return data
    assert file is not None
    return tx.blobs.read_file(file, codec)


def unindexed(tx: Tx, limit: int) -> list[words.Entry]:
    """Read the words of a page of contents that wait to be indexed; for a read-only transaction."""
    return [words.entry(tx.engine, content, *_texts(tx, content)) for content in words.page_waiting(tx, limit)]


def index(tx: Tx, entries: Sequence[words.Entry]) -> None:
    """Put the words of contents into the index, save of those deleted or indexed meanwhile."""
    words.insert(tx, [entry for entry in entries if words.settle(tx, entry.content)])


def sweep(tx: Tx, *, unused_for: float, after: int = 0) -> tuple[int, int]:
    """Delete what nothing refers to in a page of the contents; gives (last id looked at or 0 at the end, deleted)."""
    last = queries.last_of_page(tx, after=after, limit=_SWEEP_PAGE)
    if last is None:
        return 0, 0
    gone = queries.unused(tx, after=after, last=last, before=tx.now - unused_for)
    for content in gone:
        words.delete(tx, content)
        queries.delete(tx, content)
    return last, len(gone)


def sweep_files(tx: Tx, *, older_than: float) -> int:
    """Remove blob files that no content refers to; gives their number."""
    removed = 0
    for file in list(tx.blobs.files(older_than=older_than)):
        if not queries.has_file(tx, file):
            tx.blobs.remove(file)
            removed += 1
    return removed


def _texts(tx: Tx, content: int) -> tuple[str, str]:
    """Give the text of the header and of the body to be indexed; none of a content that cannot be read, which must not stop the others."""
    try:
        texts = message.texts(read(tx, content))
    except Exception:
        log.exception("content_not_indexed", scope=tx.organization, content=content)
        return "", ""
    return texts.header.casefold(), texts.body.casefold()
