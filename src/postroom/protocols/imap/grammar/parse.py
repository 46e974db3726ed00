"""One command's text to its typed value: a table from verbs to readers of their arguments (RFC 3501 §9)."""

import re
from collections.abc import Callable

from postroom.model.flags import Flag
from postroom.protocols.imap.grammar import commands, dates, fetch, names, search, sets
from postroom.protocols.imap.grammar.commands import Command, Flags
from postroom.protocols.imap.grammar.scanner import Malformed, Scanner

TAG = re.compile(rb'[^\x00-\x20(){%*"\\+\x7f-\xff]+')
MESSAGES_LIMIT = 100
PATTERNS_LIMIT = 10
STATUS_ITEMS = frozenset(b"MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ SIZE APPENDLIMIT DELETED DELETED-STORAGE".split())
SYSTEM_FLAGS = {b"\\" + (flag.name or "").encode(): int(flag) for flag in Flag}
SELECTIONS = frozenset(b"SUBSCRIBED REMOTE RECURSIVEMATCH SPECIAL-USE".split())
RETURNS = frozenset(b"SUBSCRIBED CHILDREN SPECIAL-USE".split())


def parse(scanner: Scanner) -> Command:
    """Consume a whole command after its tag."""
    verb = scanner.word()
    reader = VERBS.get(verb)
    if reader is None:
        raise Malformed("unknown command")
    command = reader(scanner)
    scanner.end()
    return command


def _mailbox(scanner: Scanner) -> str:
    scanner.space()
    return names.decode(scanner.astring())


def _flags(given: tuple[bytes, ...]) -> Flags:
    """Sort flags into system flags and keywords; \\Recent is the server's own and left out."""
    mask, keywords = 0, []
    for flag in given:
        name = flag.upper()
        if name in SYSTEM_FLAGS:
            mask |= SYSTEM_FLAGS[name]
        elif name.startswith(b"\\"):
            if name != b"\\RECENT":
                raise Malformed("unknown system flag")
        else:
            keywords.append(flag.decode("ascii"))
    return Flags(mask, tuple(keywords))


def _id(scanner: Scanner) -> Command:
    scanner.space()
    if scanner.skip(b"NIL"):
        return commands.Id(())
    scanner.expect(b"(")
    fields: list[tuple[bytes, bytes | None]] = []
    while not scanner.skip(b")"):
        if fields:
            scanner.space()
        name = scanner.string()
        scanner.space()
        fields.append((name, scanner.nstring()))
        if len(fields) > 30:
            raise Malformed("too many fields")
    return commands.Id(tuple(fields))


def _authenticate(scanner: Scanner) -> Command:
    scanner.space()
    mechanism = scanner.word()
    if not scanner.skip(b" "):
        return commands.Authenticate(mechanism, None)
    initial = scanner.take(_BASE64, "base64")
    return commands.Authenticate(mechanism, b"" if initial == b"=" else initial)


_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}|=")


def _login(scanner: Scanner) -> Command:
    scanner.space()
    username = scanner.user_name()
    scanner.space()
    return commands.Login(username, scanner.astring())


def _enable(scanner: Scanner) -> Command:
    found = []
    while scanner.skip(b" "):
        found.append(scanner.word())
    if not found:
        raise Malformed("arguments missing")
    return commands.Enable(tuple(found))


def _select(scanner: Scanner, examine: bool = False) -> Command:
    mailbox = _mailbox(scanner)
    condstore = False
    if scanner.skip(b" "):
        parameters = scanner.words()
        if not set(parameters) <= {b"CONDSTORE"}:
            raise Malformed("unknown parameter")
        condstore = bool(parameters)
    return commands.Select(mailbox, examine, condstore)


def _create(scanner: Scanner) -> Command:
    mailbox = _mailbox(scanner)
    use: tuple[bytes, ...] = ()
    if scanner.skip(b" (USE "):
        use = scanner.flags()
        scanner.expect(b")")
    return commands.Create(mailbox, use)


def _rename(scanner: Scanner) -> Command:
    return commands.Rename(_mailbox(scanner), _mailbox(scanner))


def _list(scanner: Scanner) -> Command:
    scanner.space()
    only: frozenset[bytes] = frozenset()
    if scanner.peek() == b"(":
        only = frozenset(scanner.words())
        if not only <= SELECTIONS or only in ({b"RECURSIVEMATCH"}, {b"RECURSIVEMATCH", b"REMOTE"}):
            raise Malformed("unknown selection option")
        scanner.space()
    reference = scanner.astring()
    scanner.space()
    extended = scanner.peek() == b"("
    given = _patterns(scanner) if extended else (scanner.list_mailbox(),)
    options, status = _return(scanner)
    if not extended and not only and given == (b"",):
        return commands.List((), only, options, status)
    return commands.List(tuple(names.pattern(reference, pattern) for pattern in given), only, options, status)


def _patterns(scanner: Scanner) -> tuple[bytes, ...]:
    scanner.expect(b"(")
    found = [scanner.list_mailbox()]
    while scanner.skip(b" "):
        found.append(scanner.list_mailbox())
        if len(found) > PATTERNS_LIMIT:
            raise Malformed("too many patterns")
    scanner.expect(b")")
    return tuple(found)


def _return(scanner: Scanner) -> tuple[frozenset[bytes], tuple[bytes, ...]]:
    """Consume `RETURN (...)` of LIST if it is there."""
    options: set[bytes] = set()
    status: tuple[bytes, ...] = ()
    if not scanner.skip(b" RETURN ("):
        return frozenset(), ()
    while not scanner.skip(b")"):
        if options or status:
            scanner.space()
        word = scanner.word()
        if word == b"STATUS":
            scanner.space()
            status = _status_items(scanner)
        elif word in RETURNS:
            options.add(word)
        else:
            raise Malformed("unknown return option")
    return frozenset(options), status


def _lsub(scanner: Scanner) -> Command:
    scanner.space()
    reference = scanner.astring()
    scanner.space()
    return commands.Lsub(names.pattern(reference, scanner.list_mailbox()))


def _status(scanner: Scanner) -> Command:
    mailbox = _mailbox(scanner)
    scanner.space()
    return commands.Status(mailbox, _status_items(scanner))


def _status_items(scanner: Scanner) -> tuple[bytes, ...]:
    items = tuple(dict.fromkeys(scanner.words()))
    if not items or not set(items) <= STATUS_ITEMS:
        raise Malformed("unknown status item")
    return items


def _append(scanner: Scanner) -> Command:
    mailbox = _mailbox(scanner)
    messages = [_message(scanner)]
    while scanner.peek() == b" " and len(scanner.text) > scanner.at + 1:
        messages.append(_message(scanner))
        if len(messages) > MESSAGES_LIMIT:
            raise Malformed("too many messages")
    return commands.Append(mailbox, tuple(messages))


def _message(scanner: Scanner) -> commands.Message:
    scanner.space()
    flags = Flags()
    if scanner.peek() == b"(":
        flags = _flags(scanner.flags())
        scanner.space()
    received_at = None
    if scanner.peek() == b'"':
        received_at = dates.parse_time(scanner)
        scanner.space()
    return commands.Message(flags, received_at, scanner.literal())


def _get_quota(scanner: Scanner) -> Command:
    scanner.space()
    return commands.GetQuota(scanner.astring())


def _set_quota(scanner: Scanner) -> Command:
    scanner.space()
    root = scanner.astring()
    scanner.at = len(scanner.text)
    return commands.SetQuota(root)


def _search(scanner: Scanner, uid: bool = False) -> Command:
    scanner.space()
    returns = search.parse_returns(scanner)
    return commands.Search(search.parse(scanner), returns, uid)


def _fetch(scanner: Scanner, uid: bool = False) -> Command:
    numbers = _numbers(scanner)
    scanner.space()
    attributes = fetch.parse(scanner)
    changed_since = None
    if scanner.skip(b" (CHANGEDSINCE "):
        changed_since = scanner.number64()
        scanner.expect(b")")
    return commands.Fetch(numbers, attributes, changed_since, uid)


_HOW = {b"+": "add", b"-": "remove"}


def _store(scanner: Scanner, uid: bool = False) -> Command:
    numbers = _numbers(scanner)
    scanner.space()
    unchanged_since = None
    if scanner.skip(b"(UNCHANGEDSINCE "):
        unchanged_since = scanner.number64()
        scanner.expect(b")")
        scanner.space()
    how = _HOW.get(scanner.peek(), "replace")
    if how != "replace":
        scanner.at += 1
    scanner.expect(b"FLAGS")
    silent = scanner.skip(b".SILENT")
    scanner.space()
    return commands.Store(numbers, how, _flags(_store_flags(scanner)), silent, unchanged_since, uid)


def _store_flags(scanner: Scanner) -> tuple[bytes, ...]:
    if scanner.peek() == b"(":
        return scanner.flags()
    found = [scanner.flag()]
    while scanner.skip(b" "):
        found.append(scanner.flag())
    return tuple(found)


def _numbers(scanner: Scanner) -> sets.SequenceSet:
    scanner.space()
    return sets.parse(scanner)


def _copy(scanner: Scanner, uid: bool = False) -> Command:
    numbers = _numbers(scanner)
    return commands.Copy(numbers, _mailbox(scanner), uid)


def _move(scanner: Scanner, uid: bool = False) -> Command:
    numbers = _numbers(scanner)
    return commands.Move(numbers, _mailbox(scanner), uid)


def _uid(scanner: Scanner) -> Command:
    scanner.space()
    verb = scanner.word()
    if verb == b"EXPUNGE":
        return commands.Expunge(_numbers(scanner))
    reader = _UID_VERBS.get(verb)
    if reader is None:
        raise Malformed("unknown UID command")
    return reader(scanner, True)


_UID_VERBS: dict[bytes, Callable[[Scanner, bool], Command]] = {
    b"COPY": _copy,
    b"FETCH": _fetch,
    b"MOVE": _move,
    b"SEARCH": _search,
    b"STORE": _store,
}

VERBS: dict[bytes, Callable[[Scanner], Command]] = {
    b"CAPABILITY": lambda scanner: commands.Capability(),
    b"NOOP": lambda scanner: commands.Noop(),
    b"LOGOUT": lambda scanner: commands.Logout(),
    b"ID": _id,
    b"STARTTLS": lambda scanner: commands.StartTls(),
    b"AUTHENTICATE": _authenticate,
    b"LOGIN": _login,
    b"ENABLE": _enable,
    b"SELECT": _select,
    b"EXAMINE": lambda scanner: _select(scanner, True),
    b"CREATE": _create,
    b"DELETE": lambda scanner: commands.Delete(_mailbox(scanner)),
    b"RENAME": _rename,
    b"SUBSCRIBE": lambda scanner: commands.Subscribe(_mailbox(scanner), True),
    b"UNSUBSCRIBE": lambda scanner: commands.Subscribe(_mailbox(scanner), False),
    b"LIST": _list,
    b"LSUB": _lsub,
    b"STATUS": _status,
    b"APPEND": _append,
    b"NAMESPACE": lambda scanner: commands.Namespace(),
    b"IDLE": lambda scanner: commands.Idle(),
    b"GETQUOTA": _get_quota,
    b"GETQUOTAROOT": lambda scanner: commands.GetQuotaRoot(_mailbox(scanner)),
    b"SETQUOTA": _set_quota,
    b"CHECK": lambda scanner: commands.Check(),
    b"CLOSE": lambda scanner: commands.Close(),
    b"UNSELECT": lambda scanner: commands.Unselect(),
    b"EXPUNGE": lambda scanner: commands.Expunge(None),
    b"SEARCH": _search,
    b"FETCH": _fetch,
    b"STORE": _store,
    b"COPY": _copy,
    b"MOVE": _move,
    b"UID": _uid,
}
