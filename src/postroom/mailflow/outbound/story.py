"""What is told of a queued copy when it is done with: to the organization whose user sent it, or to the one that was to take it."""

from dataclasses import dataclass

from postroom.formats.message import Letterhead
from postroom.mailflow import events, flow
from postroom.mailflow.queue import Copy, Parcel
from postroom.mailflow.verdicts import Fate, Verdict
from postroom.storage.engine import Tx


@dataclass(frozen=True, slots=True)
class Story:
    """A parcel, who wrote it, and the organization of this server that it went to, if it went to one."""

    parcel: Parcel
    head: Letterhead
    scope: int | None

    def tell(self, tx: Tx, copy: Copy, verdict: Verdict) -> None:
        """Tell of a copy that has arrived or never will; of our own notifications nothing is told."""
        parcel = self.parcel
        trace, failed = parcel.trace or flow.passing_id(tx), verdict.fate is Fate.FAILED
        if parcel.author and failed:
            events.returned(tx, trace, copy.recipient, reason=verdict.text, status=verdict.status)
        elif parcel.author:
            events.sent(tx, trace, self.head, copy.recipient, verdict if verdict.host else None)
        elif failed and parcel.sender and self.scope is not None:
            events.refused(tx, trace, copy.recipient, reason=verdict.text, status=verdict.status, scope=self.scope)

    def delay(self, tx: Tx, copy: Copy, verdict: Verdict) -> None:
        """Tell of an attempt that was not the last."""
        if self.parcel.author and self.parcel.trace:
            events.delayed(tx, self.parcel.trace, copy.recipient, copy.attempts + 1, verdict)
