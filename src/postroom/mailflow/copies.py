"""What becomes of a letter's copies in an organization as they are delivered: judged, put into mailboxes, told of, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import disposition, events, flow, hooks, judgement, lists, placing
from postroom.mailflow.assessment import Assessment
from postroom.mailflow.disposition import Circumstances, Disposition, Fate
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.flow import Direction
from postroom.mailflow.hooks import Passing
from postroom.mailflow.lists import Letters
from postroom.mailflow.recipients import Target
from postroom.mailflow.sieve.delivery import Applied, Passage
from postroom.model import errors
from postroom.storage.engine import Tx


@dataclass(slots=True)
class Copies:
    """The letter's content and its id in the message flow, who has it in which folder, who has no room, whose rules spoke.

    `case` is what it is judged by, `judged` what was decided about each address.
    """

    case: Circumstances
    content: int | None = None
    trace: str = ""
    places: list[tuple[str, str]] = field(default_factory=list)
    full: list[str] = field(default_factory=list)
    applied: list[tuple[str, Applied]] = field(default_factory=list)
    judged: dict[str, Disposition] = field(default_factory=dict)

    @property
    def wanted(self) -> bool:
        """Say whether anybody here was to get the letter, or may be."""
        return any(found.delivers or found.fate is Fate.WAIT for found in self.judged.values())

    @property
    def waiting(self) -> set[str]:
        """The addresses whose copies wait for what a hook says."""
        return {address for address, found in self.judged.items() if found.fate is Fate.WAIT}

    def keep(self, tx: Tx, prepared: Prepared) -> int:
        """Give the content, kept by now."""
        if self.content is None:
            self.content = contents.keep(tx, prepared)
        return self.content

    def enter(self, tx: Tx, prepared: Prepared) -> str:
        """Give the id under which the letter has come in, by now."""
        self.trace = self.trace or flow.enter(tx, self.keep(tx, prepared), Direction.INCOMING)
        return self.trace

    def judge(self, target: Target, letters: Letters) -> Disposition:
        """Decide about the letter for an address; what has been through a group does not go there again."""
        found = disposition.decide(self.case, target.address)
        if found.delivers and letters.looped(target):
            found = Disposition(Fate.BOUNCE, lists.LOOP, found.policy)
        self.judged[target.address] = found
        return found

    def append_all(
        self, tx: Tx, owners: Mapping[str, str], letters: Letters, passage: Passage, via: Mapping[str, Target]
    ) -> list[str]:
        """Put the letter into the mailbox of each, named by id and primary address, to whom it came `via` an address.

        Gives those without room.
        """
        full = []
        for owner, email in owners.items():
            target = via[owner]
            way = replace(passage, recipient=target.address, group=target.group)
            try:
                junk = self.judged[target.address].fate is Fate.JUNK
                placed = placing.place(tx, owner, letters.of(target, owner), junk=junk, passage=way)
            except errors.OverQuota:
                full.append(owner)
            else:
                self.keep(tx, letters.prepared)
                self.places += [(email, folder) for folder in placed.folders]
                self.applied += [(email, placed.applied)] if placed.applied else []
        self.full += full
        return full

    def arrive(self, tx: Tx, addresses: Sequence[str], prepared: Prepared, assessment: Assessment, *, known: bool = False) -> None:
        """Put the letter into the message flow as it came in, unless it is `known` there or unwanted, and tell of its copies."""
        self.trace = self.enter(tx, prepared) if self.wanted or self.trace else flow.passing_id(tx)
        trace, head = self.trace, prepared.summary.letterhead
        if not known:
            events.received(tx, trace, head, addresses, assessment)
        judgement.tell(tx, trace, head, self.judged)
        for email, applied in self.applied:
            events.mailbox_rule_applied(
                tx, trace, email, rule=applied.script, actions=applied.actions, folders=applied.folders, recipients=applied.recipients
            )
        for email, folder in self.places:
            events.delivered(tx, trace, email, folder)

    def call_hooks(
        self, tx: Tx, envelope: Envelope, prepared: Prepared, addresses: Sequence[str], assessment: Assessment, *, recorded: bool
    ) -> None:
        """Note the calls that rules want for those to whom the letter has come."""
        rules = {address: self.judged[address].rule for address in addresses if address in self.judged}
        found = {address: rule for address, rule in rules.items() if rule is not None}
        if found:
            passing = Passing(envelope, self.trace, prepared.summary.letterhead, assessment, recorded=recorded)
            hooks.post(tx, passing, lambda: self.keep(tx, prepared), found)
