"""The tests of Sieve, asked of a letter (RFC 5228 §5 and the extensions)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from postroom.formats.addresses import Mailbox
from postroom.formats.sieve import matching
from postroom.formats.sieve.script import Step
from postroom.mailflow.sieve import moments
from postroom.mailflow.sieve.machine import Machine, flags_in
from postroom.model.addresses import Address

T = TypeVar("T")


def holds(machine: Machine, step: Step) -> bool:
    """Say whether a test is true; raises `Trouble`."""
    machine.spend()
    return _TESTS[step.name](machine, step)


def compare(machine: Machine, step: Step, values: Iterable[str], keys: Sequence[str]) -> bool:
    """Say whether one of the values matches one of the keys, as the test's tags say (RFC 5228 §2.7)."""
    match, relation = step.tags.get("match", ("is", None))
    comparator = str(step.value("comparator") or "i;ascii-casemap")
    if match == "count":
        number = str(sum(1 for _ in values))
        return any(matching.relates(number, str(relation), key, "i;ascii-numeric") for key in keys)
    return any(_matches(machine, value, key, match, str(relation), comparator) for value in values for key in keys)


def _matches(machine: Machine, value: str, key: str, match: str, relation: str, comparator: str) -> bool:
    machine.spend(matching.cost(value, key, match))
    if match == "matches":
        found = matching.matches(value, key, comparator)
        if found is not None:
            machine.remember(found)
        return found is not None
    if match == "contains":
        return matching.contains(value, key, comparator)
    return matching.relates(value, relation, key, comparator) if match == "value" else matching.equals(value, key, comparator)


def at_index(step: Step, values: Sequence[T]) -> Sequence[T]:
    """Pick the value that `:index` asks for, from the end with `:last` (RFC 5260 §6)."""
    index = step.value("index")
    if not isinstance(index, int):
        return values
    if not 1 <= index <= len(values):
        return []
    return [values[-index] if step.tag("last") else values[index - 1]]


def _not(machine: Machine, step: Step) -> bool:
    return not holds(machine, step.tests[0])


def _all_of(machine: Machine, step: Step) -> bool:
    return all(holds(machine, test) for test in step.tests)


def _any_of(machine: Machine, step: Step) -> bool:
    return any(holds(machine, test) for test in step.tests)


def _exists(machine: Machine, step: Step) -> bool:
    return all(_fields(machine, name, machine.letter.values) for name in machine.texts(step.words[0]))


def _size(machine: Machine, step: Step) -> bool:
    limit = step.words[0]
    assert isinstance(limit, int)
    return machine.letter.size > limit if step.tag("limit") == "over" else machine.letter.size < limit


def _header(machine: Machine, step: Step) -> bool:
    values = (
        value for name in machine.texts(step.words[0]) for value in at_index(step, _fields(machine, name, machine.letter.texts))
    )
    return compare(machine, step, values, machine.texts(step.words[1]))


def _address(machine: Machine, step: Step) -> bool:
    part = step.tag("part") or "all"
    found = (
        _part(mailbox, part)
        for name in machine.texts(step.words[0])
        for mailboxes in at_index(step, _fields(machine, name, machine.letter.mailboxes))
        for mailbox in mailboxes
    )
    return compare(machine, step, (value for value in found if value is not None), machine.texts(step.words[1]))


def _envelope(machine: Machine, step: Step) -> bool:
    part = step.tag("part") or "all"
    known = {"from": machine.circumstances.sender, "to": machine.circumstances.recipient}
    found = (_part_of(known[name.lower()], part) for name in machine.texts(step.words[0]) if name.lower() in known)
    return compare(machine, step, (value for value in found if value is not None), machine.texts(step.words[1]))


def _body(machine: Machine, step: Step) -> bool:
    transform = step.tag("transform") or "text"
    values: Iterable[str]
    if transform == "raw":
        values = [machine.letter.body()]
    elif transform == "content":
        values = machine.letter.contents(machine.texts(step.value("transform")))
    else:
        values = machine.letter.words()
    return compare(machine, step, values, machine.texts(step.words[0]))


def _string(machine: Machine, step: Step) -> bool:
    sources = machine.texts(step.words[0])
    values = [text for text in sources if text] if step.tag("match") == "count" else sources
    return compare(machine, step, values, machine.texts(step.words[1]))


def _has_flag(machine: Machine, step: Step) -> bool:
    flags = machine.flags
    if step.words[0] is not None:
        names = step.words[0] if isinstance(step.words[0], tuple) else (str(step.words[0]),)
        flags = flags_in([machine.variable(name) for name in names])
    keys = machine.texts(step.words[1])
    if (step.tag("match") or "is") == "is":
        keys = [word for key in keys for word in key.split()]
    return compare(machine, step, flags, keys)


def _date(machine: Machine, step: Step) -> bool:
    values = at_index(step, _fields(machine, machine.text(step.words[0]), machine.letter.texts))
    moment = moments.read(values[0]) if values else None
    if moment is None:
        return False
    zone = moment.zone if step.tag("zone") == "originalzone" else moments.offset(machine.text(step.value("zone") or "+0000"))
    value = moments.part(machine.text(step.words[1]), moment.utc, zone)
    return compare(machine, step, [value], machine.texts(step.words[2]))


def _current_date(machine: Machine, step: Step) -> bool:
    zone = moments.offset(machine.text(step.value("zone") or "+0000"))
    value = moments.part(machine.text(step.words[0]), machine.circumstances.now, zone)
    return compare(machine, step, [value], machine.texts(step.words[1]))


def _mailbox_exists(machine: Machine, step: Step) -> bool:
    return all(_look(machine, path) for path in machine.texts(step.words[0]))


def _special_use_exists(machine: Machine, step: Step) -> bool:
    path = "" if step.words[0] is None else machine.text(step.words[0])
    if path and not _look(machine, path):
        return False
    return all(machine.circumstances.has_use(path, use) for use in machine.texts(step.words[1]))


def _look(machine: Machine, path: str) -> bool:
    machine.spend(100)
    return machine.circumstances.has_folder(path)


def _fields(machine: Machine, name: str, read: Callable[[str], list[T]]) -> list[T]:
    """Read the fields of a name; looking through the header costs as much as it is long."""
    machine.spend(1 + machine.letter.fields // 8)
    return read(name)


def _part(mailbox: Mailbox, part: str) -> str | None:
    local, domain = (mailbox.local or b"").decode("utf-8", "replace"), (mailbox.domain or b"").decode("utf-8", "replace")
    return _piece(Address(local, domain), part)


def _part_of(address: str, part: str) -> str | None:
    local, _, domain = address.rpartition("@")
    return _piece(Address(local, domain), part) if address else "" if part != "detail" else None


def _piece(address: Address, part: str) -> str | None:
    """Cut out the part of an address that a tag names; None where there is none (RFC 5233 §4)."""
    user, plus, detail = address.local.partition("+")
    if part == "detail":
        return detail if plus else None
    return {"all": str(address), "localpart": address.local, "domain": address.domain, "user": user}[part]


_TESTS: Mapping[str, Callable[[Machine, Step], bool]] = {
    "true": lambda machine, step: True,
    "false": lambda machine, step: False,
    "not": _not,
    "allof": _all_of,
    "anyof": _any_of,
    "exists": _exists,
    "size": _size,
    "header": _header,
    "address": _address,
    "envelope": _envelope,
    "body": _body,
    "string": _string,
    "hasflag": _has_flag,
    "date": _date,
    "currentdate": _current_date,
    "mailboxexists": _mailbox_exists,
    "specialuse_exists": _special_use_exists,
}
