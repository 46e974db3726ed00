"""The scripts of a mailbox: put there by its owner, read when a letter comes in.

What has been read and checked once is remembered by the digest of its text, so that a letter costs its owner one look for the active
script; who has none pays no more than that.
"""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

from postroom.formats.sieve import script as language
from postroom.formats.sieve.script import MAX_BYTES, NoScript, Script
from postroom.mailbox.access import Mailbox, Right
from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import sieve as queries

MAX_NAME_BYTES = 512
_PAGE = 1000
_REMEMBERED = 128


@dataclass(frozen=True, slots=True)
class Limits:
    """How many scripts a mailbox may have, and how many octets each."""

    scripts: int = 20
    octets: int = MAX_BYTES


@dataclass(frozen=True, slots=True)
class Stored:
    """A script of a mailbox; `size` in octets."""

    name: str
    active: bool
    size: int


class _Memory:
    """Scripts by the digests of their texts, those used last."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Script] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, digest: str) -> Script | None:
        """Give a script that is remembered."""
        with self._lock:
            found = self._known.get(digest)
            if found is not None:
                self._known.move_to_end(digest)
            return found

    def keep(self, digest: str, script: Script) -> None:
        """Remember a script, and forget the one longest unused."""
        with self._lock:
            self._known[digest] = script
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


_memory = _Memory()


def active(tx: Tx, mailbox: Mailbox) -> tuple[str, Script] | None:
    """Give name and meaning of the active script, None where there is none; raises `MalformedScript` for one that is none any more."""
    found = queries.find_active(tx, mailbox.id)
    if found is None:
        return None
    name, digest = found
    script = _memory.find(digest)
    if script is None:
        row = queries.find(tx, mailbox.id, name)
        assert row is not None
        script = _read(row[0].encode(), limit=1 << 30)
        _memory.keep(digest, script)
    return name, script


def check(data: bytes, limits: Limits) -> Script:
    """Read a script; raises `MalformedScript`, `LimitExceeded` where it is too long."""
    if len(data) > limits.octets:
        raise errors.LimitExceeded(f"A script may have {limits.octets} octets.")
    return _read(data, limit=limits.octets)


def _read(data: bytes, *, limit: int) -> Script:
    try:
        return language.read(data, limit=limit)
    except NoScript as error:
        raise errors.MalformedScript(str(error)) from None


def all_of(tx: Tx, mailbox: Mailbox) -> list[Stored]:
    """List the scripts by their names."""
    return [Stored(name, bool(active), size) for name, active, size in queries.all_of(tx, mailbox.id)]


def get(tx: Tx, mailbox: Mailbox, name: str) -> str:
    """Give the text of a script; raises `ResourceNotFound`."""
    return _find(tx, mailbox, name)[0]


def require_room(tx: Tx, mailbox: Mailbox, name: str, size: int, limits: Limits) -> None:
    """Raise `LimitExceeded` unless a script of that name and size could be put."""
    if size > limits.octets:
        raise errors.LimitExceeded(f"A script may have {limits.octets} octets.")
    others = [one for one in all_of(tx, mailbox) if one.name != name]
    if len(others) >= limits.scripts:
        raise errors.TooManyScripts(f"A mailbox may have {limits.scripts} scripts.")


def put(tx: Tx, mailbox: Mailbox, name: str, data: bytes, limits: Limits) -> None:
    """Put a script that has been checked in the place of one of the same name, which stays active if it was."""
    mailbox.require(Right.WRITE)
    _require_name(name)
    require_room(tx, mailbox, name, len(data), limits)
    queries.put(tx, mailbox.id, name, script=data.decode(), digest=hashlib.sha256(data).hexdigest(), size=len(data))


def activate(tx: Tx, mailbox: Mailbox, name: str) -> None:
    """Make a script the active one; '' means none. Raises `ResourceNotFound`."""
    mailbox.require(Right.WRITE)
    if name:
        _find(tx, mailbox, name)
    queries.activate(tx, mailbox.id, name)


def rename(tx: Tx, mailbox: Mailbox, name: str, new_name: str) -> None:
    """Give a script another name; raises `ResourceNotFound`, `NameTaken`, `InvalidParameter`."""
    mailbox.require(Right.WRITE)
    _require_name(new_name)
    _find(tx, mailbox, name)
    if queries.find(tx, mailbox.id, new_name) is not None:
        raise errors.NameTaken("There is a script of this name.")
    queries.rename(tx, mailbox.id, name, new_name)


def delete(tx: Tx, mailbox: Mailbox, name: str) -> None:
    """Delete a script; raises `ResourceNotFound`, `EntityState` while it is active."""
    mailbox.require(Right.WRITE)
    if _find(tx, mailbox, name)[1]:
        raise errors.EntityState("The script is active.")
    queries.delete(tx, mailbox.id, name)


def any_forgettable(tx: Tx) -> bool:
    """Tell whether there are notes of automatic replies that count no more."""
    return queries.any_forgettable(tx)


def forget_replies(tx: Tx) -> int:
    """Delete a page of notes of automatic replies that count no more; gives their number."""
    return queries.forget_replies(tx, limit=_PAGE)


def _find(tx: Tx, mailbox: Mailbox, name: str) -> tuple[str, bool]:
    found = queries.find(tx, mailbox.id, name)
    if found is None:
        raise errors.ResourceNotFound("There is no script of this name.")
    return found[0], bool(found[1])


def _require_name(name: str) -> None:
    """Raise `InvalidParameter` for what may not name a script (RFC 5804 §1.6)."""
    odd = any(ord(letter) < 32 or 127 <= ord(letter) < 160 or letter in "\u2028\u2029" for letter in name)
    if odd or not name or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise errors.InvalidParameter("This is not a possible name of a script.")
