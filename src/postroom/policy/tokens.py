"""Personal access tokens: what users show in mail clients in place of a password.

A token bears 160 bits of chance, so a plain digest is all that has to be kept of it, and nobody guesses one. It is good for its owner,
by the protocols that its scopes name or by `All`, while the owner may sign in and the organization lets tokens count. That is asked
each time it is shown, and of those who have come in with it (`sign_in.reconsider`): of tokens nothing is remembered.

WorkMail: personal access tokens
"""

import hashlib
import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from postroom.directory import entities, users
from postroom.model import errors, ids
from postroom.model.actors import Protocol
from postroom.policy import identity
from postroom.policy.identity import Configuration
from postroom.storage.engine import Tx
from postroom.storage.queries import access_tokens, mailboxes

ALL: Final = "All"
"""The scope that has no bounds."""
SCOPES: Final = (ALL, *Protocol)
MOST_PER_USER: Final = 50
LONGEST_LIFE: Final = 3653
"""Days (WorkMail API: PersonalAccessTokenLifetimeInDays)."""
NOTED_SECONDS: Final = 900.0
"""How exactly the last use of a token is kept."""
PURGED_AT_ONCE: Final = 200
DAY: Final = 86_400.0

_LETTERS: Final = string.ascii_lowercase + "234567"
_FORM: Final = re.compile(f"pat-[{_LETTERS}]{{32}}")
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f<>\\]{1,64}")

log = structlog.get_logger("postroom.policy")


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; times are epoch seconds, `expires_at` None for one that lasts until it is deleted."""

    id: str
    user_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None
    used_at: float | None

    def refusal(self, configuration: Configuration | None, user_id: str, protocol: Protocol, now: float) -> str:
        """Say why it does not let a user in by a protocol, for the log alone; empty if it does."""
        if self.user_id != user_id:
            return "token_of_another"
        if not identity.tokens_count(configuration):
            return "token_inactive"
        if self.expires_at is not None and self.expires_at <= now:
            return "token_expired"
        return "" if ALL in self.scopes or protocol in self.scopes else "token_scope"

    def stale(self, now: float) -> bool:
        """Say whether a use now is to be noted."""
        return self.used_at is None or now - self.used_at >= NOTED_SECONDS


def create(tx: Tx, user: str, *, name: str, days: int | None = None, scopes: Sequence[str] = ()) -> tuple[Token, str]:
    """Make a token of a user; gives it with the text that opens, which is shown this once.

    It lives for `days`, or as long as the organization lets tokens live. Raises `EntityNotFound`, `EntityState` for a user without
    a mailbox, `Unsupported` while tokens do not count, `InvalidParameter`, `LimitExceeded`.
    """
    configuration = identity.find(tx)
    if configuration is None or not identity.tokens_count(configuration):
        raise errors.Unsupported("Personal access tokens are not active here; PutIdentityProviderConfiguration makes them so.")
    found = entities.get(tx, user, users.KINDS)
    if not found.has_mailbox:
        raise errors.EntityState(f"{found.name} has no mailbox here.")
    if not _NAME.fullmatch(name):
        raise errors.InvalidParameter("The name of a token has 1 to 64 characters, none of them a control character, <, > or \\.")
    life = _life(configuration, days)
    if access_tokens.count(tx, found.id) >= MOST_PER_USER:
        raise errors.LimitExceeded(f"A user may have {MOST_PER_USER} tokens.")
    text = "pat-" + "".join(secrets.choice(_LETTERS) for _ in range(32))
    expires_at = tx.now + life * DAY if life else None
    token = Token(ids.new_access_token_id(), found.id, name, _scopes(scopes), tx.now, expires_at, None)
    access_tokens.insert(
        tx,
        token.id,
        digest=_digest(text),
        entity=token.user_id,
        name=token.name,
        scopes=msgspec.json.encode(token.scopes).decode(),
        expires_at=token.expires_at,
    )
    return token, text


def recognize(tx: Tx, password: str) -> Token | None:
    """Find the token that was given as a password; whether it lets anybody in is another question."""
    row = access_tokens.find_by_digest(tx, _digest(password)) if _FORM.fullmatch(password) else None
    return _token(row) if row else None


def find(tx: Tx, id: str) -> Token | None:
    """Find a token by its id."""
    row = access_tokens.find(tx, id)
    return _token(row) if row else None


def get(tx: Tx, id: str) -> Token:
    """Get a token by its id; raises `ResourceNotFound` (WorkMail API: GetPersonalAccessTokenMetadata)."""
    found = find(tx, id)
    if found is None:
        raise errors.ResourceNotFound(f"There is no personal access token {id}.")
    return found


def page(tx: Tx, *, user: str | None, after: str, limit: int) -> list[Token]:
    """List tokens behind an id: those of a user, or all; raises `EntityNotFound` (WorkMail API: ListPersonalAccessTokens)."""
    entity = entities.get(tx, user, users.KINDS).id if user is not None else None
    return [_token(row) for row in access_tokens.page(tx, entity=entity, after=after, limit=limit)]


def note_use(tx: Tx, id: str, at: float) -> None:
    """Note when a token was used; `at` is epoch seconds."""
    access_tokens.note_use(tx, id, at)


def delete(tx: Tx, id: str) -> None:
    """Remove a token, which need not be there; who came in with it is asked again (WorkMail API: DeletePersonalAccessToken)."""
    found = find(tx, id)
    if found is not None:
        _remove(tx, found)


def any_expired(tx: Tx) -> bool:
    """Say whether there is something to purge."""
    return bool(access_tokens.expired(tx, 1))


def purge(tx: Tx) -> int:
    """Remove tokens that have expired, a page of them; gives their number. Who came in with one is asked again."""
    gone = [_token(row) for row in access_tokens.expired(tx, PURGED_AT_ONCE)]
    for token in gone:
        _remove(tx, token)
        log.info("token_expired", token=token.id, user=token.user_id)
    return len(gone)


def _remove(tx: Tx, token: Token) -> None:
    access_tokens.delete(tx, token.id)
    mailboxes.doubt(tx, token.user_id)


def _life(configuration: Configuration, days: int | None) -> int | None:
    """Give the days a new token lives, None for no end."""
    most = configuration.token_days or LONGEST_LIFE
    if days is not None and not 1 <= days <= most:
        raise errors.InvalidParameter(f"A token lives 1 to {most} days here.")
    return days or configuration.token_days


def _scopes(given: Sequence[str]) -> tuple[str, ...]:
    """Read scopes in any case, each once; none means all. Raises `InvalidParameter`."""
    known = {scope.casefold(): str(scope) for scope in SCOPES}
    for scope in given:
        if scope.casefold() not in known:
            raise errors.InvalidParameter(f"{scope} is not a scope; there are {', '.join(SCOPES)}.")
    wanted = tuple(dict.fromkeys(known[scope.casefold()] for scope in given))
    return (ALL,) if not wanted or ALL in wanted else wanted


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _token(row: tuple[Any, ...]) -> Token:
    id, entity, name, scopes, created_at, expires_at, used_at = row
    return Token(id, entity, name, msgspec.json.decode(scopes, type=tuple[str, ...]), created_at, expires_at, used_at)
