"""Does what a script has decided, within the transaction that delivers the letter.

The copies come first: when there is no room for any of them, nothing else has been done, and the letter is tried again as a whole.
Then what leaves: redirected letters and automatic replies, as rows of the queue, counted as what the user sends. What may not leave is
kept instead.

A redirected letter says on a line of its own by whom it was redirected. Who finds the own address there keeps the letter, as does
whoever is the last of many; so a letter that goes round in circles comes to rest.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from prometheus_client import Counter

from postroom.directory import addresses
from postroom.formats import replies
from postroom.formats.sieve.script import Script
from postroom.mailbox import access, contents, folders, items, keywords
from postroom.mailbox.access import Mailbox
from postroom.mailbox.contents import Prepared
from postroom.mailbox.folders import Folder
from postroom.mailflow import disposition, judgement, outgoing, queue, recipients, srs
from postroom.mailflow.assessment import OURS, Assessment
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.outgoing import Terms
from postroom.mailflow.queue import Hold
from postroom.mailflow.sieve import interpreter, leaving, vacation
from postroom.mailflow.sieve.letter import Letter
from postroom.mailflow.sieve.machine import Circumstances
from postroom.mailflow.sieve.outcome import KEPT, Filing, Outcome, Vacation
from postroom.mailflow.sieve.vacation import Owner
from postroom.mailflow.trace import without_return_path
from postroom.model import errors
from postroom.model.flags import Flag
from postroom.policy.flow_rules import Rule
from postroom.storage.engine import Tx
from postroom.storage.queries import entities
from postroom.storage.queries import sieve as queries

REDIRECTED = "X-Sieve-Redirected-From"
MAX_REDIRECTIONS = 4
"""How often a letter may be redirected on this server, one after the other."""
_USES = {"\\sent": "sent", "\\drafts": "drafts", "\\trash": "trash", "\\junk": "junk"}
_FLAGS = {f"\\{flag.name}".lower(): int(flag) for flag in Flag}

RUNS = Counter("postroom_sieve_runs", "Scripts run on letters, by how they ended", ["end"])
log = structlog.get_logger("postroom.sieve")


@dataclass(frozen=True, slots=True)
class Passage:
    """How a letter comes to a mailbox: its envelope, the recipient that led there, and what is known of it.

    `refusable` says that its sender waits for the answer, and that nobody else takes it; `group` that the recipient is one; `terms` are
    those of what goes on from here.
    """

    envelope: Envelope
    recipient: str = ""
    assessment: Assessment = OURS
    refusable: bool = False
    terms: Terms = outgoing.USUAL
    group: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """What a script has done, to be told: its name, the folders, and the addresses to which the letter went on."""

    script: str
    actions: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Case:
    """A letter before a mailbox."""

    mailbox: Mailbox
    letter: Letter
    prepared: Prepared
    passage: Passage
    junk: bool


def deliver(tx: Tx, mailbox: Mailbox, prepared: Prepared, passage: Passage, *, name: str, script: Script, junk: bool) -> Applied:
    """Run a script and do what it says; raises `OverQuota`, and `LetterRefused` where that can be answered."""
    letter = Letter(lambda: contents.read(tx, contents.keep(tx, prepared)), prepared.size)
    case = _Case(mailbox, letter, prepared, passage, junk)
    outcome = _run(tx, case, name, script)
    if outcome.refusal is not None:
        return _refuse(tx, case, name, outcome.refusal)
    redirects, hold, rules = _permitted(tx, case, outcome.redirects)
    filings = outcome.filings or ((Filing(),) if outcome.redirects and not redirects else ())
    places = _file(tx, case, outcome, filings)
    for target in redirects:
        _redirect(tx, case, outcome, target, hold, rules.get(target))
    answered = outcome.vacation is not None and _answer(tx, case, outcome.vacation)
    actions = (*(["FILE"] if places else []), *(["REDIRECT"] if redirects else []), *(["REPLY"] if answered else []))
    return Applied(name, actions or ("DISCARD",), places, redirects)


def _run(tx: Tx, case: _Case, name: str, script: Script) -> Outcome:
    """Run a script; one that fails leaves the letter as if there were none."""
    mailbox, passage = case.mailbox, case.passage
    circumstances = Circumstances(
        passage.envelope.sender,
        passage.recipient,
        tx.now,
        lambda path: folders.find(tx, mailbox, path) is not None,
        lambda path, use: _has_use(tx, mailbox, path, use),
    )
    try:
        outcome = interpreter.run(script, case.letter, circumstances)
    except Exception:
        log.exception("script_broken", scope=tx.organization, owner=mailbox.owner, script=name)
        outcome = replace(KEPT, failure="internal error")
    RUNS.labels("failed" if outcome.failure else "done").inc()
    if outcome.failure:
        log.info("script_failed", scope=tx.organization, owner=mailbox.owner, script=name, reason=outcome.failure)
    return outcome


# Copies


def _file(tx: Tx, case: _Case, outcome: Outcome, filings: Sequence[Filing]) -> tuple[str, ...]:
    """Put a copy into each folder, as far as there is room after the first; gives the folders' names."""
    kept = case.prepared if outcome.content is None or not filings else contents.written(tx, outcome.content)
    wanted: dict[int, tuple[Folder, Filing]] = {}
    for filing in filings:
        folder = _folder(tx, case, filing)
        wanted[folder.id] = (folder, filing)
    places: list[str] = []
    for folder, filing in wanted.values():
        try:
            items.append(tx, case.mailbox, folder.id, kept, flags=_mask(tx, case.mailbox, filing.flags))
        except errors.OverQuota:
            if not places:
                raise
            log.info("copy_without_room", scope=tx.organization, owner=case.mailbox.owner, folder=folder.path)
        else:
            places.append(folder.path)
    return tuple(places)


def _folder(tx: Tx, case: _Case, filing: Filing) -> Folder:
    """Find the folder of a copy; where there is none, and none is to be made, the inbox takes it."""
    mailbox = case.mailbox
    if not filing.path:
        return folders.by_role(tx, mailbox, "junk" if case.junk else "inbox")
    role = _USES.get(filing.use.lower())
    if role is not None:
        return folders.by_role(tx, mailbox, role)
    found = folders.find(tx, mailbox, filing.path)
    if found is None and filing.create:
        try:
            found = folders.create(tx, access.open_for_upkeep(tx, mailbox.owner), filing.path)
        except (errors.BadFolderName, errors.FolderExists, errors.LimitExceeded) as error:
            log.info("folder_not_made", scope=tx.organization, owner=mailbox.owner, reason=error.text)
    return found or folders.by_role(tx, mailbox, "inbox")


def _has_use(tx: Tx, mailbox: Mailbox, path: str, use: str) -> bool:
    role = _USES.get(use.lower())
    if role is None:
        return False
    if not path:
        return True
    found = folders.find(tx, mailbox, path)
    return found is not None and found.role == role


def _mask(tx: Tx, mailbox: Mailbox, flags: Sequence[str]) -> int:
    """Give the bits of flags; keywords for which there is no room are left out."""
    mask, words = 0, []
    for flag in flags:
        bit = _FLAGS.get(flag.lower())
        if bit is None:
            words.append(flag)
        else:
            mask |= bit
    if words:
        try:
            mask |= keywords.mask(tx, mailbox, words, create=True)
        except errors.TooManyKeywords:
            mask |= keywords.mask(tx, mailbox, words, create=False)
    return mask


# What leaves


def _permitted(tx: Tx, case: _Case, redirects: Sequence[str]) -> tuple[tuple[str, ...], Hold | None, dict[str, Rule]]:
    """Give the addresses to which a letter is redirected, whether it has to wait, and the organization's rules about them.

    There are none for junk, for what has been here before, where a rule lets nothing go, and beyond the day's allowance.
    """
    if not redirects or case.junk:
        return (), None, {}
    own = _owner(tx, case.mailbox)
    before = [value.decode("utf-8", "replace") for value in case.letter.values(REDIRECTED)]
    if own is None or len(before) >= MAX_REDIRECTIONS or any(vacation.key(value) in own.keys for value in before):
        log.info("not_redirected", scope=tx.organization, owner=case.mailbox.owner, reason="loop")
        return (), None, {}
    rules = leaving.find(tx, own.addresses[0], redirects)
    targets = leaving.permitted(tx, rules, redirects)
    try:
        return targets, _count(tx, case, own, targets, case.prepared.size), rules
    except errors.LimitExceeded:
        log.info("not_redirected", scope=tx.organization, owner=case.mailbox.owner, reason="allowance")
        return (), None, {}


def _count(tx: Tx, case: _Case, owner: Owner, targets: Sequence[str], octets: int) -> Hold | None:
    """Count a letter to others as sent by a mailbox's owner; say whether it has to wait. Raises `LimitExceeded`."""
    here = sum(recipients.is_ours(tx, target.rpartition("@")[2]) for target in targets)
    email, elsewhere = owner.addresses[0], len(targets) - here
    return outgoing.count(tx, case.passage.terms, case.mailbox.owner, email, sender=email, here=here, elsewhere=elsewhere, octets=octets)


def _redirect(tx: Tx, case: _Case, outcome: Outcome, target: str, hold: Hold | None, rule: Rule | None) -> None:
    """Queue a copy, with its return path rewritten where it goes to others (RFC 5228 §4.2)."""
    owner = _owner(tx, case.mailbox)
    assert owner is not None
    raw = case.letter.raw if outcome.content is None else outcome.content
    rest = without_return_path(raw)
    line = f"{REDIRECTED}: {owner.addresses[0]}\r\n".encode()
    prepared = contents.written(tx, raw[: len(raw) - len(rest)] + line + rest)
    envelope = replace(
        case.passage.envelope,
        sender=_return_path(tx, case.passage, owner.addresses[0], target),
        recipients=(target,),
        eight_bit=case.passage.envelope.eight_bit or not rest.isascii(),
        international=case.passage.envelope.international or not target.isascii(),
    )
    hold = None if recipients.is_ours(tx, target.rpartition("@")[2]) else hold
    assessment = case.passage.assessment
    sealer = "" if assessment.ours and outcome.content is None else owner.addresses[0].rpartition("@")[2]  # what was changed is not ours
    leaving.send(tx, envelope, prepared, rule, owner=case.mailbox.owner, assessment=assessment, hold=hold, sealer=sealer)


def _return_path(tx: Tx, passage: Passage, owner: str, target: str) -> str:
    """Give the return path of what goes on to another: one in the owner's domain, where it comes from others and goes to others.

    What came through a group comes back to the owner, as whoever wrote to the group has not written there (RFC 5321 §3.9.2).
    """
    sender = passage.envelope.sender
    if not sender or recipients.is_ours(tx, target.rpartition("@")[2]):
        return sender
    if passage.group:
        return owner
    if recipients.is_ours(tx, sender.rpartition("@")[2]):
        return sender
    return srs.forward(tx, sender, owner.rpartition("@")[2])


def _answer(tx: Tx, case: _Case, wanted: Vacation) -> bool:
    """Queue an automatic reply, unless there is a reason not to; tells whether there is one."""
    owner, sender = _owner(tx, case.mailbox), case.passage.envelope.sender
    if owner is None:
        return False
    reason = vacation.silence(wanted, case.letter, sender, owner, case.passage.assessment, junk=case.junk)
    if reason:
        log.debug("not_answered", scope=tx.organization, owner=case.mailbox.owner, reason=reason)
        return False
    mark = hashlib.sha256(f"{wanted.handle}\0{vacation.key(sender)}".encode()).hexdigest()
    if not queries.note_reply(tx, case.mailbox.id, mark, tx.now + wanted.seconds):
        return False
    raw = replies.write(vacation.reply(wanted, case.letter, sender, owner), now=tx.now)
    rules = leaving.find(tx, owner.addresses[0], (sender,))
    if not leaving.permitted(tx, rules, (sender,)):
        return False
    try:
        hold = _count(tx, case, owner, (sender,), len(raw))
    except errors.LimitExceeded:
        return False
    _send(tx, raw, sender, author=case.mailbox.owner, hold=hold, rule=rules.get(sender))
    return True


def _refuse(tx: Tx, case: _Case, name: str, reason: str) -> Applied:
    """Let the letter go back: by the answer to its sender where that is possible (RFC 5429 §2.1), else by a report.

    A report goes only to who is known to have sent the letter; to anybody else it would be junk, and the letter is dropped.
    """
    text = " ".join(reason.split())[:400]
    if case.passage.refusable:
        raise errors.LetterRefused(text if text.isascii() and text.isprintable() else "")
    sender, owner = case.passage.envelope.sender, _owner(tx, case.mailbox)
    if owner is not None and not case.junk and disposition.returnable(case.passage.assessment, sender):
        lost = case.passage.recipient or owner.addresses[0]
        raw = without_return_path(case.letter.raw)
        if case.passage.envelope.wish(lost).failure:
            domain = owner.addresses[0].rpartition("@")[2]
            judgement.report(tx, sender, raw, [(lost, text)], domain=domain, envelope=case.passage.envelope)
    return Applied(name, ("BOUNCE",))


def _send(tx: Tx, raw: bytes, recipient: str, *, author: str, hold: Hold | None, rule: Rule | None) -> None:
    """Queue a reply, with the null return path."""
    prepared = contents.written(tx, raw)
    envelope = Envelope("", (recipient,), eight_bit=not raw.isascii(), international=not recipient.isascii())
    leaving.send(tx, envelope, prepared, rule, owner=author, author=author, lifetime=queue.SHORT_LIFETIME, hold=hold)


def _owner(tx: Tx, mailbox: Mailbox) -> Owner | None:
    found = addresses.owned(tx, mailbox.owner)
    return Owner(entities.get(tx, mailbox.owner).display_name, tuple(found)) if found else None
