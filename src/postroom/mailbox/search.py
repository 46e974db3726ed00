"""Search a folder, and confirm on the contents themselves what an index can only narrow."""

from collections.abc import Sequence

from postroom.formats import headers, message
from postroom.formats.words import decode_header
from postroom.mailbox import contents
from postroom.model.search import Body, Header, Query, Text
from postroom.storage.engine import Tx
from postroom.storage.queries import search as queries


def uids(tx: Tx, folder_id: int, query: Query) -> list[int]:
    """List the UIDs of the items of a folder that match, in order (RFC 9051 §6.4.4)."""

    def confirm(candidates: Sequence[int], condition: Query) -> list[int]:
        return [content for content in candidates if matches(contents.read(tx, content), condition)]

    return queries.uids(tx, folder_id, query, confirm)


def matches(raw: bytes, condition: Query) -> bool:
    """Tell whether a message truly holds the text of a `Header`, `Body` or `Text` condition."""
    if isinstance(condition, Header):
        return _has_header(raw, condition.name, condition.text.casefold())
    texts = message.texts(raw)
    if isinstance(condition, Body):
        return condition.text.casefold() in texts.body.casefold()
    if isinstance(condition, Text):
        wanted = condition.text.casefold()
        return wanted in texts.header.casefold() or wanted in texts.body.casefold()
    raise TypeError(condition)


def _has_header(raw: bytes, name: str, wanted: str) -> bool:
    return any(wanted in decode_header(value).casefold() for value in headers.find_all(raw, name))
