"""LIST and LSUB: the tree of folders (RFC 3501 §6.3.8 and §6.3.9; RFC 5258, RFC 6154, RFC 5819, RFC 3348).

A line is due for every folder or subscribed name that matches, and for LSUB and RECURSIVEMATCH also for a name above one that
matches in no other way. \\HasChildren is always told, as are special uses, save those of other people's folders: a client that takes one
for its own would file its drafts there. Mailboxes of others lie below names that are no folders, and are read only where a pattern reaches.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from postroom.mailbox import folders
from postroom.mailbox.folders import Folder
from postroom.model.errors import NotPermitted
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
    """Folders by their names, None for names above other people's; names subscribed without a folder at home; counts for STATUS."""

    folders: dict[str, Folder | None]
    absent: Collection[str]
    parents: frozenset[str]
    counted: Counted


def list(session: Session, command: List) -> Steps:
    """List folders, or what the separator is; the mailboxes of others one after the other, since there may be many."""
    if not command.patterns:
        yield b'* LIST (\\Noselect) "/" ""\r\n'
        return answers.ok(b"LIST completed.")
    if b"HIGHESTMODSEQ" in command.status:
        yield use_condstore(session)
    told, others = yield Read(_home, session, command)
    yield told
    for owner, root, subscribed in others:
        yield (yield Read(_other, session, command, owner, root, subscribed))
    return answers.ok(b"LIST completed.")


def _home(tx: Tx, session: Session, command: List) -> tuple[bytes, Sequence[tuple[str, str, Collection[str]]]]:
    """List what is at home, and the names of the mailboxes of others; gives those to be listed too, and what is subscribed in each."""
    origin, patterns = session.origin, command.patterns
    others = places.others(tx, origin) if any(pattern.matches(SHARED) or pattern.reaches(SHARED) for pattern in patterns) else []
    reached = [(owner, root) for owner, root in others if any(pattern.reaches(root) for pattern in patterns)]
    found = _own(tx, origin)
    for _, root in others:
        found.setdefault(SHARED, None)
        found[root] = None
    absent = folders.absent_subscriptions(tx, origin.home)
    tree = _tree(tx, found, absent, command.status, [root for _, root in others])
    elsewhere: dict[str, set[str]] = {root: set() for _, root in reached}
    for path in absent:
        elsewhere.get(_root(path), set()).add(path)
    told = b"".join(_lines(session, command, tree, lambda path: _root(path) not in elsewhere))
    return told, [(owner, root, elsewhere[root]) for owner, root in reached]


def _other(tx: Tx, session: Session, command: List, owner: str, root: str, absent: Collection[str]) -> bytes:
    """List the mailbox of another, which may have been closed meanwhile."""
    origin = session.origin
    try:
        found: dict[str, Folder | None] = dict(places.tree(tx, origin, owner, root))
    except NotPermitted:
        return b""
    return b"".join(_lines(session, command, _tree(tx, found, absent, command.status), lambda path: _root(path) == root))


def lsub(session: Session, command: Lsub) -> Steps:
    """List subscribed names; one above such a name is told as \\Noselect when only `%` reaches it."""
    yield (yield Read(_lsub, session.origin, command.pattern))
    return answers.ok(b"LSUB completed.")


def _lsub(tx: Tx, origin: Origin, pattern: Pattern) -> bytes:
    subscribed = _subscribed(_tree(tx, _own(tx, origin), folders.absent_subscriptions(tx, origin.home), ()))
    matching = {path for path in subscribed if pattern.matches(path)}
    above = {parent for path in subscribed - matching for parent in _above(path)} - subscribed
    found = [_line(b"LSUB", b"", path) for path in sorted(matching)]
    found += [_line(b"LSUB", b"\\Noselect", path) for path in sorted(above) if pattern.matches(path)]
    return b"".join(found)


def _own(tx: Tx, origin: Origin) -> dict[str, Folder | None]:
    """Read the folders at home, save those whose names lead into the mailbox of another."""
    return {folder.path: folder for folder in folders.tree(tx, origin.home) if not (origin.sees_others and _root(folder.path))}


def _root(path: str) -> str:
    """Name the mailbox of another that a name lies in, empty at home."""
    address, within = names.split(path)
    return names.root_of(address) if address and within else ""


def _tree(tx: Tx, found: dict[str, Folder | None], absent: Collection[str], wanted: Sequence[bytes], above: Sequence[str] = ()) -> Tree:
    parents = frozenset(parent for name in found for parent in _above(name)).union(above)
    return Tree(found, absent, parents, status.count(tx, filter(None, found.values()), wanted))


def _above(path: str) -> Iterable[str]:
    """Give the paths of all folders above one."""
    parts = path.split(SEPARATOR)
    return (SEPARATOR.join(parts[:depth]) for depth in range(1, len(parts)))


def _subscribed(tree: Tree) -> set[str]:
    return {path for path, folder in tree.folders.items() if folder and folder.subscribed and path == folder.path} | set(tree.absent)


def _lines(session: Session, command: List, tree: Tree, here: Callable[[str], bool]) -> Iterable[bytes]:
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
        if (path not in chosen and path not in above) or not here(path) or not _matches(command.patterns, path):
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
