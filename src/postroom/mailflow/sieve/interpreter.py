"""Runs a script on a letter: commands one after the other, and what they have decided in the end (RFC 5228 §2.10).

Nothing is done here. Whatever goes wrong, the outcome is that the letter is kept.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from postroom.formats.sieve import matching
from postroom.formats.sieve.script import Script, Step
from postroom.formats.sieve.vocabulary import MODIFIERS
from postroom.mailflow.sieve import conditions
from postroom.mailflow.sieve.letter import Letter
from postroom.mailflow.sieve.machine import Circumstances, Machine, Trouble, flags_in
from postroom.mailflow.sieve.outcome import Filing, Outcome, Vacation
from postroom.model import addresses, errors

MAX_REDIRECTS = 4
MAX_FILINGS = 32
MAX_EDITS = 64
DAY = 86_400
SHORTEST, LONGEST, USUAL = 3_600, 30 * DAY, 7 * DAY
"""Seconds for which nobody gets a second reply: at least, at most, and when a script does not say."""
_GUARDED = re.compile(
    r"received|received-spf|return-path|delivered-to|from|sender|to|cc|bcc|reply-to|date|message-id|in-reply-to|references|mime-version"
    r"|auto-submitted|authentication-results|dkim-.*|arc-.*|resent-.*|content-.*|list-.*|x-sieve-.*|x-postroom-.*",
    re.IGNORECASE,
)
"""Fields that say where a letter comes from, what it is and where it has been: no script changes them (RFC 5293 §7)."""


class _Stop(Exception):
    """The script has said that it is over."""


@dataclass(slots=True)
class _Decisions:
    """What has been decided so far."""

    implicit: bool = True
    filings: list[Filing] = field(default_factory=list)
    redirects: list[str] = field(default_factory=list)
    vacation: Vacation | None = None
    refusal: str | None = None
    edits: int = 0


def run(script: Script, letter: Letter, circumstances: Circumstances) -> Outcome:
    """Run a script; never raises for what a script or a letter says."""
    machine = Machine(letter, circumstances, with_variables="variables" in script.extensions)
    decisions = _Decisions()
    try:
        with suppress(_Stop):
            _run(machine, decisions, script.steps)
        return _conclude(machine, decisions)
    except Trouble as trouble:
        return Outcome(failure=str(trouble))


def _conclude(machine: Machine, decisions: _Decisions) -> Outcome:
    if decisions.implicit:
        _file(decisions, Filing(flags=machine.flags))
    if decisions.refusal is not None and (decisions.filings or decisions.redirects or decisions.vacation):
        raise Trouble("A letter cannot be refused and kept, redirected or answered as well.")
    return Outcome(
        tuple(decisions.filings),
        tuple(decisions.redirects),
        decisions.vacation,
        decisions.refusal,
        machine.letter.written() if machine.letter.edited else None,
    )


def _run(machine: Machine, decisions: _Decisions, steps: Sequence[Step]) -> None:
    """Run commands; of if, elsif and else behind each other one block at the most."""
    taken = False
    for step in steps:
        machine.spend()
        if step.name in ("if", "elsif", "else"):
            taken = taken and step.name != "if"
            if not taken and (step.name == "else" or conditions.holds(machine, step.tests[0])):
                taken = True
                _run(machine, decisions, step.block)
        else:
            _COMMANDS[step.name](machine, decisions, step)


def _stop(machine: Machine, decisions: _Decisions, step: Step) -> None:
    raise _Stop


def _keep(machine: Machine, decisions: _Decisions, step: Step) -> None:
    decisions.implicit = False
    _file(decisions, Filing(flags=_flags(machine, step)))


def _discard(machine: Machine, decisions: _Decisions, step: Step) -> None:
    decisions.implicit = False


def _file_into(machine: Machine, decisions: _Decisions, step: Step) -> None:
    decisions.implicit = decisions.implicit and bool(step.tag("copy"))
    use = machine.text(step.value("specialuse")) if step.tag("specialuse") else ""
    path = machine.text(step.words[0])
    if not path:
        raise Trouble("fileinto names no folder.")
    _file(decisions, Filing(path, _flags(machine, step), bool(step.tag("create")), use))


def _file(decisions: _Decisions, filing: Filing) -> None:
    """Note a copy, one for each place; the flags are those of the last command that names it (RFC 5232 §5)."""
    others = [other for other in decisions.filings if (other.path, other.use) != (filing.path, filing.use)]
    if len(others) >= MAX_FILINGS:
        raise Trouble(f"A script may file a letter in {MAX_FILINGS} folders.")
    decisions.filings = [*others, filing]


def _flags(machine: Machine, step: Step) -> tuple[str, ...]:
    return flags_in(machine.texts(step.value("flags"))) if step.tag("flags") else machine.flags


def _redirect(machine: Machine, decisions: _Decisions, step: Step) -> None:
    decisions.implicit = decisions.implicit and bool(step.tag("copy"))
    target = machine.text(step.words[0])
    try:
        key = addresses.parse(target).key
    except errors.InvalidParameter as error:
        raise Trouble(error.text) from None
    if key not in [addresses.parse(other).key for other in decisions.redirects]:
        decisions.redirects.append(target)
    if len(decisions.redirects) > MAX_REDIRECTS:
        raise Trouble(f"A script may redirect a letter to {MAX_REDIRECTS} addresses.")


def _reject(machine: Machine, decisions: _Decisions, step: Step) -> None:
    decisions.implicit = False
    if decisions.refusal is None:
        decisions.refusal = machine.text(step.words[0])


def _vacation(machine: Machine, decisions: _Decisions, step: Step) -> None:
    if decisions.vacation is not None:
        raise Trouble("A script may answer a letter once.")
    reason = machine.text(step.words[0])
    subject = machine.text(step.value("subject") or "")
    sender = machine.text(step.value("from") or "")
    mime = bool(step.tag("mime"))
    handle = machine.text(step.value("handle")) if step.tag("handle") else "\0".join((reason, subject, sender, str(mime)))
    decisions.vacation = Vacation(
        reason,
        hashlib.sha256(handle.encode("utf-8", "replace")).hexdigest(),
        _seconds(step),
        subject,
        sender,
        tuple(machine.texts(step.value("addresses") or ())),
        mime,
    )


def _seconds(step: Step) -> int:
    given = step.value("time")
    if not isinstance(given, int):
        return USUAL
    return min(max(given * DAY if step.tag("time") == "days" else given, SHORTEST), LONGEST)


def _set(machine: Machine, decisions: _Decisions, step: Step) -> None:
    value = machine.text(step.words[1])
    modifiers = sorted((name for name, _ in step.tags.values()), key=lambda name: -MODIFIERS[name])
    for name in modifiers:
        value = _MODIFY[name](value)
    machine.assign(str(step.words[0]), value)


_MODIFY: Mapping[str, Callable[[str], str]] = {
    "lower": lambda value: matching.fold(value, "i;ascii-casemap"),
    "upper": lambda value: "".join(letter.upper() if letter.isascii() else letter for letter in value),
    "lowerfirst": lambda value: matching.fold(value[:1], "i;ascii-casemap") + value[1:],
    "upperfirst": lambda value: (value[:1].upper() if value[:1].isascii() else value[:1]) + value[1:],
    "quotewildcard": lambda value: re.sub(r"([\\*?])", r"\\\1", value),
    "length": lambda value: str(len(value)),
}


def _set_flag(machine: Machine, decisions: _Decisions, step: Step) -> None:
    """Change the flags of the letter, or those that stand in a variable (RFC 5232 §3)."""
    machine.spend(4)
    given = flags_in(machine.texts(step.words[1]))
    name = str(step.words[0]) if step.words[0] is not None else ""
    known = flags_in([machine.variable(name)]) if name else machine.flags
    if step.name == "addflag":
        flags = flags_in([*known, *given])
    elif step.name == "removeflag":
        gone = {flag.lower() for flag in given}
        flags = tuple(flag for flag in known if flag.lower() not in gone)
    else:
        flags = given
    if name:
        machine.assign(name, " ".join(flags))
    else:
        machine.flags = flags


def _add_header(machine: Machine, decisions: _Decisions, step: Step) -> None:
    name, value = machine.text(step.words[0]), machine.text(step.words[1])
    _count_edit(decisions)
    if _may_edit(name):
        machine.spend(1 + len(value) // 16)
        machine.letter.add(name, value, last=bool(step.tag("last")))


def _delete_header(machine: Machine, decisions: _Decisions, step: Step) -> None:
    name = machine.text(step.words[0])
    _count_edit(decisions)
    if not _may_edit(name):
        return
    machine.spend(1 + machine.letter.fields // 4)
    values = list(enumerate(machine.letter.texts(name)))
    keys = machine.texts(step.words[1]) if step.words[1] is not None else None
    chosen = conditions.at_index(step, values)
    gone = [at for at, value in chosen if keys is None or conditions.compare(machine, step, [value], keys)]
    machine.letter.delete(name, gone)


def _count_edit(decisions: _Decisions) -> None:
    decisions.edits += 1
    if decisions.edits > MAX_EDITS:
        raise Trouble(f"A script may change a header {MAX_EDITS} times.")


def _may_edit(name: str) -> bool:
    """Say whether scripts may change a field; what they may not change is left alone, without an error (RFC 5293 §7)."""
    return re.fullmatch(r"[!-9;-~]{1,126}", name) is not None and _GUARDED.fullmatch(name) is None


_COMMANDS: Mapping[str, Callable[[Machine, _Decisions, Step], None]] = {
    "stop": _stop,
    "keep": _keep,
    "discard": _discard,
    "fileinto": _file_into,
    "redirect": _redirect,
    "reject": _reject,
    "ereject": _reject,
    "vacation": _vacation,
    "set": _set,
    "setflag": _set_flag,
    "addflag": _set_flag,
    "removeflag": _set_flag,
    "addheader": _add_header,
    "deleteheader": _delete_header,
}
