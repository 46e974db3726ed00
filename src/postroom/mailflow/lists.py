"""What a letter to a group tells of the group: which list it came through, how to write there, how to leave (RFC 2919, RFC 2369, RFC 8058).

All members get one letter, with these fields before it. Where the operator lets members leave by one click, each who may leave gets a
letter of their own, whose link leaves that group and no other; so many copies are made only where they take little room. A letter that
came through another list stays as it is, for it may be signed as it stands; one that has been through this group is not distributed again.
"""

import base64
import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from email.header import Header
from urllib.parse import quote

from postroom.directory import groups
from postroom.formats import headers
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow.recipients import Target
from postroom.mailflow.trace import without_return_path
from postroom.model import errors
from postroom.model.entities import Entity, Kind
from postroom.storage.engine import REGISTRY, Tx
from postroom.storage.queries import entities, members

PATH = "/unsubscribe/"
MOST_COPIES = 500
"""Members who get letters of their own."""
MOST_OCTETS = 8 << 20
"""Octets that these letters may take together."""
LOOP = "This message has been distributed to this group before"
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_IDENTIFIER = re.compile(rb"<([^<>]*)>[^<>]*\Z")
_TOKEN = re.compile(r"([1-9][0-9]{0,9})\.([A-Za-z0-9-]{1,64})\.([A-Za-z0-9-]{1,64})\.([A-Za-z0-9_-]{22})")
_UNQUOTED = "!$'*+-.^_`~"
"""What stands in a mailto address as it is, beside letters and digits."""
_PURPOSE = "leaving a group"


@dataclass(frozen=True, slots=True)
class Membership:
    """What a link names: an organization by its scope, a group and a member by their ids, and the mark that proves it."""

    scope: int
    group: str
    member: str
    mark: str


@dataclass(slots=True)
class Letters:
    """A letter on its way through the groups of one delivery; `leave_at` is where members leave, '' where they do not."""

    tx: Tx
    prepared: Prepared
    leave_at: str = ""
    _raw: bytes | None = None
    _made: dict[tuple[str, str], Prepared] = field(default_factory=dict)

    def looped(self, target: Target) -> bool:
        """Say whether the letter has been through a group before."""
        return bool(target.group) and _key(identifier(self._group(target))) in self._lists()

    def of(self, target: Target, owner: str) -> Prepared:
        """Give the letter that a member of a group gets; for whom it came otherwise the letter as it is."""
        if not target.group or self._lists():
            return self.prepared
        leaver = owner if owner in self._leavers(target) else ""
        known = self._made.get((target.entity, leaver))
        if known is None:
            known = self._made[target.entity, leaver] = self._write(self._group(target), leaver)
        return known

    def shared(self, target: Target) -> Prepared:
        """Give the letter that names no member."""
        return self.of(target, "")

    def _group(self, target: Target) -> Entity:
        return entities.get(self.tx, target.entity)

    def _leavers(self, target: Target) -> Collection[str]:
        """Give the members who get letters of their own."""
        if not self.leave_at or len(target.owners) > MOST_COPIES or len(target.owners) * self.prepared.size > MOST_OCTETS:
            return ()
        if not groups.may_be_left(self.tx, self._group(target)):
            return ()
        return members.all_of(self.tx, target.entity)

    def _write(self, group: Entity, leaver: str) -> Prepared:
        raw = self._read()
        rest = without_return_path(raw)
        link = f"{self.leave_at}{PATH}{token(self.tx, group.id, leaver)}" if leaver else ""
        bulk = not headers.find_all(raw, "Precedence")
        return contents.written(self.tx, raw[: len(raw) - len(rest)] + fields(group, link, precedence=bulk) + rest)

    def _lists(self) -> list[bytes]:
        """Give the identifiers of the lists that the letter came through."""
        return [_key(value) for value in headers.find_all(self._read(), "List-Id")]

    def _read(self) -> bytes:
        if self._raw is None:
            self._raw = contents.read(self.tx, contents.keep(self.tx, self.prepared))
        return self._raw


def identifier(group: Entity) -> bytes:
    """Give the identifier of a group as a list: its address with a dot for the @, or its id where that cannot be (RFC 2919 §3)."""
    local, _, domain = (group.email or "").rpartition("@")
    return f"{local if _ATOM.fullmatch(local) else group.id}.{domain}".encode()


def fields(group: Entity, link: str, *, precedence: bool = True) -> bytes:
    """Write the fields of a group; with a `link` those by which a member leaves at one click."""
    local, _, domain = (group.email or "").rpartition("@")
    lines = [
        f"List-Id: {_phrase(group.display_name)} <{identifier(group).decode()}>",
        f"List-Post: <mailto:{quote(local, safe=_UNQUOTED)}@{domain}>",
    ]
    if precedence:
        lines.append("Precedence: list")
    if link:
        lines += [f"List-Unsubscribe: <{link}>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"]
    return "".join(f"{line}\r\n" for line in lines).encode()


def token(tx: Tx, group: str, member: str) -> str:
    """Write what names a membership, so that nobody else can write it; no row remembers it."""
    named = f"{tx.organization}.{group}.{member}"
    return f"{named}.{_mark(tx, named)}"


def read(text: str) -> Membership | None:
    """Read what a link names, whoever wrote it; None for what names nothing."""
    match = _TOKEN.fullmatch(text)
    if match is None or int(match[1]) == REGISTRY:
        return None
    return Membership(int(match[1]), match[2], match[3], match[4])


def find(tx: Tx, named: Membership) -> Entity | None:
    """Find the group that a link of ours lets its member leave; None when the link is not ours, or the group may not be left any more."""
    wanted = _mark(tx, f"{named.scope}.{named.group}.{named.member}")
    if named.scope != tx.organization or not hmac.compare_digest(wanted, named.mark):
        return None
    try:
        group = entities.get(tx, named.group)
    except errors.EntityNotFound:
        return None
    return group if group.kind is Kind.GROUP and groups.may_be_left(tx, group) else None


def leave(tx: Tx, named: Membership) -> bool:
    """Take a member out of a group, who need not be in it any more; False when the link lets nobody leave."""
    group = find(tx, named)
    if group is None:
        return False
    groups.leave(tx, group, named.member)
    return True


def _mark(tx: Tx, named: str) -> str:
    return base64.urlsafe_b64encode(tx.blobs.mark(named.encode(), _PURPOSE))[:22].decode()


def _key(value: bytes) -> bytes:
    """Give an identifier as it is compared (RFC 2919 §3)."""
    match = _IDENTIFIER.search(value)
    return (match[1] if match else value).strip().lower()


def _phrase(name: str) -> str:
    plain = " ".join("".join(char if char.isprintable() else " " for char in name[:200]).split())
    if not plain.isascii():
        return Header(plain, "utf-8", header_name="List-Id").encode(linesep="\r\n")
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
