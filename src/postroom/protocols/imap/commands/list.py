"""LIST and LSUB: the tree of folders (RFC 3501 §6.3.8 and §6.3.9; RFC 5258, RFC 6154, RFC 5819, RFC 3348).

A line is due for every folder or subscribed name that matches, and for LSUB and RECURSIVEMATCH also for a name above one that
matches in no other way. \\HasChildren is always told, as are special uses, save those of other people's folders: a client that takes one
for its own would file its drafts there. Mailboxes of others lie below names that are no folders, and are read only where a pattern reaches.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from postroom.mailbox import folders
from postroom.mailbox.folders import Folder
from postroom.protocols.imap import places
from postroom.protocols.imap.commands import status
from postroom.protocols.imap.commands.enable import use_condstore
from postroom.protocols.imap.commands.status import Counted
from postroom.protocols.imap.grammar import answers, names
from postroom.protocols.imap.grammar.commands import List, Lsub
from postroom.protocols.imap.grammar.names import SEPARATOR, SHARED, Pattern
from postroom.protocols.imap.places import Origin
from postroom.protocols.imap.session import Session
from postroom.protocols.imap.steps import Read, Steps
from postroom.storage.engine import Tx

USES = {"sent": b"\\Sent", "drafts": b"\\Drafts", "trash": b"\\Trash", "junk": b"\\Junk"}


@dataclass(frozen=True, slots=True)
class Tree:
    """All folders by their names, None for names above other people's; names subscribed without a folder at home; counts for STATUS."""

    folders: dict[str, Folder | None]
    absent: Sequence[str]
    parents: frozenset[str]
    counted: Counted


def list(session: Session, command: List) -> Steps:
    """List folders, or what the separator is."""
    if not command.patterns:
        yield b'* LIST (\\Noselect) "/" ""\r\n'
        return answers.ok(b"LIST completed.")
    if b"HIGHESTMODSEQ" in command.status:
        yield use_condstore(session)
    yield (yield Read(_list, session, command))
    return answers.ok(b"LIST completed.")


def _list(tx: Tx, session: Session, command: List) -> bytes:
    return b"".join(_lines(session, command, _look(tx, session.origin, command.patterns, command.status)))


def lsub(session: Session, command: Lsub) -> Steps:
    """List subscribed names; one above such a name is told as \\Noselect when only `%` reaches it."""
    yield (yield Read(_lsub, session.origin, command.pattern))
    return answers.ok(b"LSUB completed.")


def _lsub(tx: Tx, origin: Origin, pattern: Pattern) -> bytes:
    subscribed = _subscribed(_look(tx, origin, (), ()))
    matching = {path for path in subscribed if pattern.matches(path)}
    above = {parent for path in subscribed - matching for parent in _above(path)} - subscribed
    found = [_line(b"LSUB", b"", path) for path in sorted(matching)]
    found += [_line(b"LSUB", b"\\Noselect", path) for path in sorted(above) if pattern.matches(path)]
    return b"".join(found)


def _look(tx: Tx, origin: Origin, patterns: Sequence[Pattern], wanted: Sequence[bytes]) -> Tree:
    found: dict[str, Folder | None] = {}
    found |= {folder.path: folder for folder in folders.tree(tx, origin.home) if not _hidden(origin, folder.path)}
    others = places.others(tx, origin) if any(pattern.matches(SHARED) or pattern.reaches(SHARED) for pattern in patterns) else []
    for owner, root in others:
        found.setdefault(SHARED, None)
        found[root] = None
        if any(pattern.reaches(root) for pattern in patterns):
            found |= places.tree(tx, origin, owner, root)
    return Tree(
        found,
        folders.absent_subscriptions(tx, origin.home),
        frozenset(parent for name in found for parent in _above(name)).union(root for _, root in others),
        status.count(tx, filter(None, found.values()), wanted),
    )


def _hidden(origin: Origin, path: str) -> bool:
    """Say whether a folder at home has a name that leads into another's mailbox."""
    return origin.sees_others and names.split(path)[0] != ""


def _above(path: str) -> Iterable[str]:
    """Give the paths of all folders above one."""
    parts = path.split(SEPARATOR)
    return (SEPARATOR.join(parts[:depth]) for depth in range(1, len(parts)))


def _subscribed(tree: Tree) -> set[str]:
    return {path for path, folder in tree.folders.items() if folder and folder.subscribed and path == folder.path} | set(tree.absent)


def _lines(session: Session, command: List, tree: Tree) -> Iterable[bytes]:
    subscribed = _subscribed(tree)
    chosen = set(tree.folders) | (set(tree.absent) if b"SUBSCRIBED" in command.only else set())
    if b"SUBSCRIBED" in command.only:
        chosen &= subscribed
    if b"SPECIAL-USE" in command.only:
        chosen = {path for path in chosen if _use(path, tree.folders.get(path))}
    above = {parent for path in chosen for parent in _above(path)} if b"RECURSIVEMATCH" in command.only else set()
    told = b"SUBSCRIBED" in command.only or b"SUBSCRIBED" in command.options
    order = [*tree.folders, *sorted((chosen | above) - set(tree.folders))]
    for path in order:
        if (path not in chosen and path not in above) or not _matches(command.patterns, path):
            continue
        folder = tree.folders.get(path)
        attributes = _attributes(path, folder, tree, subscribed=told and path in subscribed)
        yield _line(b"LIST", attributes, path, b' ("CHILDINFO" ("SUBSCRIBED"))' if path in above else b"")
        if command.status and folder is not None:
            yield status.line(session, path, folder, command.status, tree.counted)


def _matches(patterns: Iterable[Pattern], path: str) -> bool:
    return any(pattern.matches(path) for pattern in patterns)


def _attributes(path: str, folder: Folder | None, tree: Tree, *, subscribed: bool) -> bytes:
    words = [b"\\HasChildren" if path in tree.parents else b"\\HasNoChildren"]
    if folder is None:
        words.insert(0, b"\\NonExistent \\Noselect" if path in tree.folders else b"\\NonExistent")
    elif use := _use(path, folder):
        words.append(use)
    if subscribed:
        words.append(b"\\Subscribed")
    return b" ".join(words)


def _use(path: str, folder: Folder | None) -> bytes:
    """Give the special use of a folder at home."""
    return USES.get(folder.role or "", b"") if folder and path == folder.path else b""


def _line(verb: bytes, attributes: bytes, path: str, extended: bytes = b"") -> bytes:
    return b'* %b (%b) "/" %b%b\r\n' % (verb, attributes, answers.mailbox(path), extended)
