"""What of a mailbox goes into an archive, under which names, in which order.

The plan names every folder with its name in the archive, and the UIDs it holds now. Its items are then read in the order of the plan, a
page to a read-only transaction, so the mailbox goes on meanwhile: what is deleted before its turn is not in the archive. At the end what
has come since is added (`again`), until nothing has: so an item that is moved from a folder still to be read into one that has been is not
missed; rather is it there twice.

A message is called by its UID, which no other in its folder ever has. Names of folders are made such that no file system takes them for
something else: neither for a way out of the archive nor for one another where case makes no difference.

WorkMail API: StartMailboxExportJob
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import structlog

from postroom.mailbox import contents, folders
from postroom.mailbox.access import Mailbox
from postroom.mailbox.folders import Folder
from postroom.storage.engine import Tx
from postroom.storage.queries import exports as queries

SUFFIXES = {"message": "eml", "event": "ics"}
"""The kinds of items that are exported; the others are counted (WorkMail: contacts, tasks and notes are not)."""
FOLDER = 0
"""In place of a content: a folder."""
BEFORE = -1
"""In place of a UID: the stage has not begun."""
ROWS = 200
BYTES = 4 * 1024 * 1024
"""Items, and bytes of them, that are read in one transaction."""
PASSES = 20
"""How often it is asked what has come since, of a mailbox that never rests."""
MAX_NAME_BYTES = 120

_UNSAFE = frozenset('<>:"/\\|?*')
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})
_TURNS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What turns the direction of writing, and makes a name look like another."""
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])( *\..*)?", re.IGNORECASE)
_LIKE_AN_ITEM = re.compile(r"\d+\.(eml|ics)", re.IGNORECASE)

log = structlog.get_logger("postroom.mailbox")


class Stage(msgspec.Struct, frozen=True, array_like=True):
    """A folder, its name in the archive, ending with a slash, and the UIDs to read: behind `after` up to `last`."""

    folder: int
    path: str
    after: int
    last: int
    more: bool = False
    """Whether a stage before has been at this folder."""


class Plan(msgspec.Struct, frozen=True, array_like=True):
    """What an archive will hold, and how many bytes that is before it is packed."""

    stages: tuple[Stage, ...]
    bytes: int
    made_at: int
    folders: int
    complete: bool = False
    """Whether nothing more will be added."""
    passes: int = 0
    """How often what came since has been asked for."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item on its way into the archive, and where it stands in the plan; without bytes it is only counted."""

    stage: int
    uid: int
    content: int
    name: str
    modified: int
    raw: bytes | None


def plan(tx: Tx, mailbox: Mailbox) -> Plan:
    """Plan the archive of a mailbox as it is now."""
    found = folders.tree(tx, mailbox, holds=None)
    names = safe_paths(found)
    stages = tuple(Stage(folder.id, names[folder.id], 0, folder.uidnext - 1) for folder in found)
    return Plan(stages, sum(folder.size for folder in found), int(tx.now), len(stages))


def again(tx: Tx, mailbox: Mailbox, made: Plan) -> Plan:
    """Add to a plan what has come since; complete when nothing has."""
    read = {stage.folder: stage for stage in made.stages}
    found = folders.tree(tx, mailbox, holds=None)
    names = safe_paths(found, {stage.folder: stage.path for stage in made.stages})
    new = [Stage(one.id, names[one.id], read[one.id].last if one.id in read else 0, one.uidnext - 1, one.id in read) for one in found]
    added = tuple(stage for stage in new if stage.last > stage.after or not stage.more)
    folder_count, passes = made.folders + sum(not stage.more for stage in added), made.passes + 1
    return Plan((*made.stages, *added), made.bytes, made.made_at, folder_count, not added or passes == PASSES, passes)


def batch(tx: Tx, made: Plan, stage: int, uid: int) -> list[Item]:
    """Read the next items behind a UID of a stage; none at the end."""
    found: list[Item] = []
    taken = 0
    while stage < len(made.stages):
        at = made.stages[stage]
        if uid == BEFORE:
            if at.after == 0 and not at.more:
                found.append(Item(stage, 0, FOLDER, at.path, made.made_at, b""))
            uid = at.after
        rows = queries.items(tx, at.folder, uid, at.last, ROWS)
        for uid, content, size, received_at, kind in rows:
            found.append(_item(tx, at, Item(stage, uid, content, "", received_at, None), kind))
            taken += size
            if taken >= BYTES or len(found) >= ROWS:
                return found
        if len(rows) < ROWS:
            stage, uid = stage + 1, BEFORE
    return found


def safe_paths(found: Iterable[Folder], known: dict[int, str] | None = None) -> dict[int, str]:
    """Give every folder a path of its own that is safe on every file system, ending with a slash; `known` ones keep theirs."""
    paths = dict(known or {})
    taken = {_folded(path): 1 for path in paths.values()}
    for folder in sorted(found, key=lambda one: one.path.count("/")):
        if folder.id not in paths:
            above = "" if folder.parent is None else paths[folder.parent]
            paths[folder.id] = _free(above, safe_name(folder.name), taken)
    return paths


def safe_name(name: str) -> str:
    """Spell the name of a folder such that no file system takes it for something else."""
    text = "".join("_" if _unsafe(character) else character for character in unicodedata.normalize("NFC", name))
    text = text.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip(" ").rstrip(". ")
    return f"_{text}" if not text or text.startswith("~") or _DEVICE.fullmatch(text) or _LIKE_AN_ITEM.fullmatch(text) else text


def _unsafe(character: str) -> bool:
    return character in _UNSAFE or character in _TURNS or unicodedata.category(character) in _UNSAFE_CATEGORIES


def _free(above: str, name: str, taken: dict[str, int]) -> str:
    """Take a path that is free; `taken` has the last number behind each, so that thousands alike are not counted through each time."""
    path = f"{above}{name}/"
    first = folded = _folded(path)
    number = taken.get(first, 1)
    while folded in taken:
        number += 1
        path = f"{above}{name} ({number})/"
        folded = _folded(path)
    taken[folded] = 1
    taken[first] = number
    return path


def _folded(path: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())


def _item(tx: Tx, stage: Stage, item: Item, kind: str) -> Item:
    suffix = SUFFIXES.get(kind)
    if suffix is None:
        return item
    try:
        raw = contents.read(tx, item.content)
    except Exception:  # one damaged message is no reason to keep the others back
        log.exception("item_not_exported", scope=tx.organization, content=item.content)
        return item
    return Item(item.stage, item.uid, item.content, f"{stage.path}{item.uid:010d}.{suffix}", item.modified, raw)
