"""Keyset paging: a token names the last row that was given out, so rows that come or go do not shift a page.

A handler asks the storage for the rows behind `call.page.after`, ordered by the same key, and hands them to `answer`; it leaves a
`Mark` where the token goes, and the gateway seals it.  A sealed token is bound to the operation, the organization and the filters
it was made with, and carries a keyed digest: a token from anywhere else is refused (WorkMail API: InvalidParameterException).
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from postroom.api.operation import Answer, Page
from postroom.model import errors

DEFAULT_LIMIT = 100
DIGEST_BYTES = 12
LONGEST_TOKEN = 1024

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Mark:
    """The key of a page's last row, to be sealed into a NextToken."""

    key: tuple[Any, ...]


def answer(page: Page, member: str, rows: Sequence[Row], *, key: Callable[[Row], tuple[Any, ...]], render: Callable[[Row], Any]) -> Answer:
    """Cut `page.fetch` rows to one page, with a NextToken only when more follow."""
    kept = rows[: page.limit]
    shown: Answer = {member: [render(row) for row in kept]}
    if len(rows) > page.limit:
        shown["NextToken"] = Mark(key(kept[-1]))
    return shown


def request(secret: bytes, context: str, params: Mapping[str, Any]) -> Page:
    """Read the page a request asks for."""
    limit = params.get("MaxResults", DEFAULT_LIMIT)
    token = params.get("NextToken")
    return Page(open_token(secret, _bound(context, params), token) if token is not None else None, limit)


def seal(secret: bytes, context: str, params: Mapping[str, Any], mark: Mark) -> str:
    """Make the opaque NextToken that leads behind a mark."""
    body = msgspec.msgpack.encode(mark.key)
    token = base64.urlsafe_b64encode(_digest(secret, _bound(context, params), body) + body).decode().rstrip("=")
    if len(token) > LONGEST_TOKEN:
        raise ValueError(f"the key of a page is too long for a token: {len(body)} bytes")
    return token


def open_token(secret: bytes, bound: bytes, token: str) -> tuple[Any, ...]:
    """Give back the key in a token, or refuse it."""
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        body = sealed[DIGEST_BYTES:]
        if hmac.compare_digest(sealed[:DIGEST_BYTES], _digest(secret, bound, body)):
            return tuple(msgspec.msgpack.decode(body))
    except ValueError:
        pass
    raise errors.InvalidParameter("The next token is not valid.")


def _bound(context: str, params: Mapping[str, Any]) -> bytes:
    filters = sorted((name, value) for name, value in params.items() if name not in ("NextToken", "MaxResults"))
    return context.encode() + msgspec.json.encode(filters)


def _digest(secret: bytes, bound: bytes, body: bytes) -> bytes:
    return blake2b(len(bound).to_bytes(4) + bound + body, key=secret, digest_size=DIGEST_BYTES, person=b"postroom-page").digest()
