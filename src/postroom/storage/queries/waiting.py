"""What still waits of letters that somebody asks after, with what is known of the destinations it waits for."""

from collections.abc import Sequence
from typing import Any

from postroom.storage.engine import Tx

Row = tuple[Any, ...]


def by_destination(tx: Tx, destination: str) -> tuple[int, str]:
    """Count the copies that wait for a destination, and give what was last said of the one that has been tried most."""
    row = tx.one(
        "SELECT COUNT(*) FROM queue_recipients WHERE organization = :organization AND destination = :destination", destination=destination
    )
    last = tx.one(
        "SELECT last_reply FROM queue_recipients WHERE organization = :organization AND destination = :destination"
        " ORDER BY attempts DESC, id LIMIT 1",
        destination=destination,
    )
    return (row[0] if row else 0), (last[0] if last else "")


def of_letters(tx: Tx, traces: Sequence[str], message_id: str, *, limit: int) -> list[Row]:
    """List what is queued of letters by their ids in the message flow, or by a Message-ID with its <>.

    Goes through all queued messages, so it is for people to ask, not for programs. Of each copy:
    (trace, message, sender, queued_at, lifetime, recipient, destination, attempts, due_at, holder, last_reply, held_by, held_for,
    blocked_until, since, tried_at, failures, status, host, reply); times are epoch seconds, and those of the destination 0 for never.
    """
    names = {f"trace{at}": trace for at, trace in enumerate(traces)}
    return tx.all(
        "SELECT m.trace, m.id, m.sender, m.queued_at, m.lifetime, r.recipient, r.destination, r.attempts, r.due_at, r.holder, r.last_reply,"
        " r.held_by, r.held_for, COALESCE(d.blocked_until, 0), COALESCE(d.since, 0), COALESCE(d.tried_at, 0), COALESCE(d.failures, 0),"
        " COALESCE(d.status, ''), COALESCE(d.host, ''), COALESCE(d.reply, '') FROM queue_messages m"
        " JOIN queue_recipients r ON r.organization = m.organization AND r.message = m.id"
        " LEFT JOIN queue_destinations d ON d.organization = r.organization AND d.destination = r.destination"
        " LEFT JOIN contents c ON c.organization = m.organization AND c.id = m.content WHERE m.organization = :organization"
        f" AND (c.message_id = :message_id OR m.trace IN ({', '.join(f':{name}' for name in names)}))"
        " ORDER BY m.id, r.id LIMIT :limit",
        limit=limit,
        message_id=message_id,
        **names,
    )
