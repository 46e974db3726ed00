"""Client tokens: a request that is repeated with its token is answered as the first time, and nothing is done twice.

The answer is kept for a day, in the transaction that did the work, so either both are there or neither.  The same token with other
input is refused.

WorkMail API: ClientToken
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from postroom.api.operation import Answer
from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import client_tokens
from postroom.storage.queries.client_tokens import Remembered

KEPT_SECONDS = 24 * 3600


class Repeated(Exception):
    """The request has been answered before, with this."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Token:
    """A request's client token, and a digest of everything else it asks for."""

    account: str
    operation: str
    token: str
    input: str


def of(account: str, operation: str, params: Mapping[str, Any]) -> Token | None:
    """Find the token of a request, if it carries one."""
    token = params.get("ClientToken")
    if token is None:
        return None
    rest = sorted((name, value) for name, value in params.items() if name != "ClientToken")
    return Token(account, operation, token, sha256(msgspec.json.encode(rest)).hexdigest())


def recall(tx: Tx, token: Token) -> None:
    """Raise Repeated when the request was answered before; InvalidParameter when another one was, under its token."""
    found = client_tokens.find(tx, token.account, token.operation, token.token)
    if found is None:
        return
    if found.input != token.input:
        raise errors.InvalidParameter("The client token was used before, with different parameters.")
    raise Repeated(msgspec.json.decode(found.answer))


def remember(tx: Tx, token: Token, answer: Answer) -> None:
    """Keep the answer, in the transaction that did the work; raises as `recall` does when another was faster."""
    recall(tx, token)
    kept = Remembered(token.input, msgspec.json.encode(answer).decode())
    client_tokens.insert(tx, token.account, token.operation, token.token, kept, tx.now + KEPT_SECONDS)
