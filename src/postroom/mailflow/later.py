"""Copies of a letter that others take later, from the queue: elsewhere, in another organization, or where there is no room just now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import queue, recipients
from postroom.mailflow.assessment import Assessment
from postroom.mailflow.envelopes import Envelope, Wish
from postroom.mailflow.lists import Letters
from postroom.mailflow.queue import Hold
from postroom.mailflow.recipients import Target
from postroom.storage.engine import Tx


def wait(
    tx: Tx,
    envelope: Envelope,
    prepared: Prepared,
    addresses: Iterable[str],
    *,
    author: str = "",
    trace: str,
    assessment: Assessment,
    hold: Hold | None = None,
    via: Mapping[str, str] | None = None,
) -> None:
    """Queue the copies of some recipients; what others wrote is to be sealed by who passes it on."""
    later = replace(envelope, recipients=tuple(addresses))
    if later.recipients:
        content = contents.keep(tx, prepared)
        sealer = "" if assessment.ours else recipients.home(tx, envelope.recipients)
        queue.enqueue(
            tx, later, content, size=prepared.size, author=author, trace=trace, assessment=assessment, hold=hold, via=via, sealer=sealer
        )


def wait_for_room(
    tx: Tx,
    envelope: Envelope,
    letters: Letters,
    target: Target,
    owners: Sequence[str],
    *,
    trace: str,
    assessment: Assessment,
    author: str = "",
) -> None:
    """Queue the copies of those without room; whoever wrote to a group hears nothing of its members (RFC 5321 §3.9.2)."""
    addresses = recipients.addresses_of(tx, owners)
    if target.group:
        envelope = replace(envelope, wishes={**envelope.wishes, **dict.fromkeys(addresses, Wish("NEVER"))})
    wait(tx, envelope, letters.shared(target), addresses, author=author, trace=trace, assessment=assessment)
