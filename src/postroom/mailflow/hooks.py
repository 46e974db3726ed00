"""Letters that wait for a hook, and those of which a hook is to hear: one row for each letter and rule, written as the letter is taken.

A letter of a rule that waits is nowhere else until its hook has answered, or the rule has lost patience. The answer and what is done by it
are one transaction, in which the row goes. So a crash at any moment costs a call at most, which is made again under the same ids; no letter
is lost by it, and none is delivered twice.

WorkMail administrator guide: configuring AWS Lambda for WorkMail
"""

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec

from postroom.formats import flow_event
from postroom.formats.flow_event import Order
from postroom.formats.message import Letterhead
from postroom.mailbox import contents
from postroom.mailflow import flow
from postroom.mailflow.assessment import Assessment
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.trace import RETURN_PATH
from postroom.model import errors
from postroom.model.addresses import parse
from postroom.policy import flow_rules
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.storage.engine import Tx
from postroom.storage.queries import hook_calls as rows

TOPIC = "hooks"
LEASE = 45.0
"""Seconds for which a call is leased: as many as it may take, and to write down what comes of it."""
FIRST_WAIT = 5.0
LONGEST_WAIT = 600.0
"""Seconds between two calls of one letter; each wait is twice as long as the one before."""
PATIENCE = flow_rules.LONGEST_MINUTES * 60.0
"""Seconds for which a hook is called again whose answer nobody waits for."""
_TYPES = {
    "DEFAULT": Action.DEFAULT,
    "DROP": Action.DROP,
    "BOUNCE": Action.BOUNCE,
    "MOVE_TO_JUNK": Action.JUNK,
    "BYPASS_SPAM_CHECK": Action.NEVER_JUNK,
}


class Unanswered(Exception):
    """A hook has not answered, or not what it may answer; the text says why."""


Caller = Callable[["Call"], bytes]
"""Calls a hook, for some seconds at the most, and gives its answer; raises `Unanswered`."""


@dataclass(frozen=True, slots=True)
class Passing:
    """A letter on its way through rules: its envelope, its id in the message flow, the user who sends it, '' for nobody here.

    `recorded` says that journaling has seen it, `forwarder` whose script sends it on, `sealer` the mail domain that seals it then.
    """

    envelope: Envelope
    trace: str
    head: Letterhead
    assessment: Assessment
    author: str = ""
    recorded: bool = False
    forwarder: str = ""
    sealer: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A call to be made: the letter for those for whom `rule` decides, as the rule was when it came; `began_at` in epoch seconds."""

    number: int
    content: int
    attempts: int
    last_reply: str
    rule: Rule
    passing: Passing
    invocation: str
    began_at: float

    def event(self) -> bytes:
        """Write what the hook is told."""
        head = self.passing.head
        return flow_event.write(
            author=head.author,
            sender=head.sender,
            subject=head.subject,
            recipients=self.passing.envelope.recipients,
            message=self.passing.trace,
            invocation=self.invocation,
            inbound=self.rule.way is Way.INBOUND,
        )

    @property
    def ends_at(self) -> float:
        """Say after when it is not made again, epoch seconds."""
        return self.began_at + (self.rule.minutes * 60.0 if self.rule.waits else PATIENCE)


@dataclass(frozen=True, slots=True)
class _Details:
    rule: Rule
    passing: Passing
    invocation: str
    began_at: float


def post(tx: Tx, passing: Passing, content: Callable[[], int], rules: Mapping[str, Rule]) -> None:
    """Note the calls that the rules of a letter's recipients want, one for each rule; `content` keeps the letter."""
    for rule in dict.fromkeys(rule for rule in rules.values() if rule.action is Action.LAMBDA):
        wanted = tuple(address for address in passing.envelope.recipients if rules.get(address) == rule)
        letter = replace(passing, envelope=replace(passing.envelope, recipients=wanted))
        details = _Details(rule, letter, secrets.token_hex(16), tx.now)
        rows.insert(tx, content=content(), details=msgspec.json.encode(details).decode())
        tx.changes.wake(TOPIC)


def lease(tx: Tx, holder: str, limit: int) -> list[Call]:
    """Take calls that are due."""
    found = [_call(row) for row in rows.due(tx, limit)]
    for call in found:
        rows.lease(tx, call.number, holder=holder, until=tx.now + LEASE)
    return found


def waiting(tx: Tx, *, after: int, limit: int) -> list[tuple[Call, float]]:
    """List calls behind an id, with when each is due (epoch seconds)."""
    return [(_call(row), due_at) for row, due_at in rows.page(tx, after=after, limit=limit)]


def next_due(tx: Tx) -> float | None:
    """Give the seconds until a call is due; None when there is none."""
    due_at = rows.next_due(tx)
    return None if due_at is None else max(due_at - tx.now, 0.0)


def reclaim(tx: Tx, holder: str) -> None:
    """Take what holders have leased who cannot live any more."""
    rows.reclaim(tx, holder=holder)


def give_back(tx: Tx, holder: str, call: Call) -> None:
    """Give a call back that was not made."""
    rows.put_back(tx, call.number, holder=holder, due_at=tx.now, attempts=call.attempts, last_reply=call.last_reply)


def again(tx: Tx, holder: str, call: Call, reply: str) -> None:
    """Make a call again later, for the last time when its time is over unless what it leads to cannot be done; `reply` is what is wrong."""
    attempts = call.attempts + 1
    wait = min(FIRST_WAIT * 2.0 ** min(attempts - 1, 16), LONGEST_WAIT)
    due_at = tx.now + wait
    if call.ends_at > tx.now:
        due_at = min(due_at, max(call.ends_at, tx.now + FIRST_WAIT))
    rows.put_back(tx, call.number, holder=holder, due_at=due_at, attempts=attempts, last_reply=" ".join(reply.split())[:500])


def done(tx: Tx, holder: str, call: Call) -> bool:
    """Remove a call; False when another holder has it by now."""
    return rows.delete(tx, call.number, holder=holder)


def text(tx: Tx, call: Call) -> bytes:
    """Give the letter of a call as it is now: the hook may have put another in its place. Raises `ItemNotFound`."""
    content = call.content
    with suppress(errors.ItemNotFound):  # its day in the message flow is over
        content = flow.get(tx, call.passing.trace).content
    raw = contents.read(tx, content)
    return raw if raw.startswith(RETURN_PATH) else RETURN_PATH + f" <{call.passing.envelope.sender}>\r\n".encode() + raw


def rulings(call: Call, body: bytes) -> tuple[dict[str, Rule], tuple[str, ...]]:
    """Read what a hook has answered: what is to be done for each recipient, as rules, and who is to get the letter beside them.

    Whoever it does not name gets what it says for all, or the rule's fallback. Raises `Unanswered`.
    """
    try:
        answer = flow_event.read(body)
    except ValueError as error:
        raise Unanswered(f"The answer cannot be read: {error}") from None
    orders = [(_ruling(call.rule, order), order) for order in answer.actions[: flow_event.MOST_ACTIONS]]
    left = {_key(address) or address: address for address in call.passing.envelope.recipients}
    found, added, known = fallback(call), dict[str, str](), frozenset(left)
    for ruling, order in orders:
        for address in order.recipients or ():
            key = _key(address)
            if key in left:
                found[left.pop(key)] = ruling
            elif key and key not in known and ruling.action not in (Action.DROP, Action.BOUNCE):
                added.setdefault(key, address)
    for_all = next((ruling for ruling, order in orders if order.for_all), None)
    if for_all is not None:
        found |= dict.fromkeys(left.values(), for_all)
    room = max(flow_event.MOST_RECIPIENTS - len(known), 0)
    return found, tuple(added.values())[:room]


def fallback(call: Call) -> dict[str, Rule]:
    """Give what is done for each recipient when nothing else is said."""
    return dict.fromkeys(call.passing.envelope.recipients, replace(call.rule, action=call.rule.fallback))


def _ruling(rule: Rule, order: Order) -> Rule:
    action = _TYPES[order.action.type]
    if action not in flow_rules.ANSWERS[rule.way]:
        raise Unanswered(f"{order.action.type} cannot be done with letters that go out")
    told = order.action.parameters.bounce_message if order.action.parameters else ""
    plain = " ".join("".join(letter if " " <= letter <= "~" else " " for letter in told).split())[:400]
    return replace(rule, action=action, message=(plain if action is Action.BOUNCE else "") or rule.message)


def _key(address: str) -> str:
    try:
        return parse(address).key
    except errors.InvalidParameter:
        return ""


def _call(row: rows.Row) -> Call:
    number, content, attempts, last_reply, text = row
    details = msgspec.json.decode(text, type=_Details)
    return Call(number, content, attempts, last_reply, details.rule, details.passing, details.invocation, details.began_at)
