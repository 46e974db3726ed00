"""STORE: change flags (RFC 3501 §6.4.6; UNCHANGEDSINCE RFC 7162 §3.1.3)."""

from postroom.mailbox import items, keywords
from postroom.mailbox.items import Ranges, StoreResult
from postroom.protocols.imap import rendering, updates
from postroom.protocols.imap.commands.enable import use_condstore
from postroom.protocols.imap.grammar import answers, sets
from postroom.protocols.imap.grammar.commands import Store
from postroom.protocols.imap.rendering import Plan
from postroom.protocols.imap.session import Caught, Selected, Session
from postroom.protocols.imap.steps import Steps, Write
from postroom.storage.engine import Tx

Stored = tuple[Caught, StoreResult, list[bytes], dict[int, str] | None]


def store(session: Session, command: Store) -> Steps:
    """Change flags, and tell what they are now unless that is to be silent."""
    selected = session.open
    if selected.read_only:
        return answers.no(b"The mailbox is selected read-only.", b"NOPERM")
    if command.unchanged_since is not None:
        yield use_condstore(session)
    slices = selected.view.resolve(command.numbers, command.uid)
    if not slices:
        return answers.ok(b"STORE completed, nothing to change.")
    ranges = selected.view.ranges(slices)
    stored: Stored = yield Write(_store, selected, ranges, command)
    caught, result, told, names = stored
    out = yield from updates.tell(selected, caught, expunges=False)
    if names is not None:
        out += selected.rename(names)
    selected.modseq = max(selected.modseq, result.modseq)
    yield out + b"".join(told)
    if result.failed:
        failed = sorted(result.failed)
        numbers = failed if command.uid else selected.view.numbers(selected.view.known(failed))
        return answers.ok(b"Some have changed since.", b"MODIFIED " + sets.render(numbers))
    return answers.ok(b"STORE completed.")


def _store(tx: Tx, selected: Selected, ranges: Ranges, command: Store) -> Stored:
    """Change the flags and write the answers, after reading what others have changed."""
    mailbox = selected.mailbox
    mask = command.flags.mask | keywords.mask(tx, mailbox, command.flags.keywords, create=command.how != "remove")
    tell = not command.silent or selected.condstore
    caught, result = updates.quietly(
        tx, selected, items.set_flags, mailbox, selected.folder.id, ranges, command.how, mask, command.unchanged_since, tell
    )
    if not tell:
        return caught, result, [], None
    failed = set(result.failed)
    rows = [row for row in result.rows if row[0] not in failed] if failed else result.rows
    told, names = rendering.lines(tx, mailbox, selected, _plan(command, selected.condstore), rows)
    return caught, result, told, names


def _plan(command: Store, condstore: bool) -> Plan:
    wanted = [b"UID"] if command.uid else []
    if not command.silent:
        wanted.append(b"FLAGS")
    if condstore:
        wanted.append(b"MODSEQ")
    return rendering.compile_plan(wanted)
