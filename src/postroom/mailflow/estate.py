"""What an organization that is being deleted has under way for the others here: they inherit it.

A stranger's letter for several organizations is answered 250 once and queued in one of them, so the others' copies must outlive that one.
Each goes into the queue of the organization it is for, at most once ever. What was for servers elsewhere ends with the organization.
"""

from dataclasses import replace

import structlog

from postroom.directory import domains
from postroom.mailbox import contents
from postroom.mailbox.contents import Prepared
from postroom.mailflow import queue
from postroom.mailflow.queue import Parcel
from postroom.model import errors
from postroom.storage.engine import REGISTRY, Store, Tx
from postroom.storage.queries import addresses

PAGE = 200

log = structlog.get_logger("postroom.mailflow")


def settle(store: Store, scope: int) -> None:
    """Pass on what others are to get, then take no more mail; a letter that cannot be read keeps nothing from its end.

    Raises what the store raises when it cannot be read or written: acknowledged letters are not given up for that.
    """
    after = 0
    try:
        while parcels := _next(store, scope, after):
            for parcel in parcels:
                _pass_on(store, parcel)
            after = max(copy.number for parcel in parcels for copy in parcel.copies)
    except errors.OrganizationNotFound:
        log.info("queue_gone", scope=scope)  # its key was shredded before a crash


def _next(store: Store, scope: int, after: int) -> list[Parcel]:
    """Look at a page of the queue; behind the last one nobody has an address any more, so that nothing is queued unseen."""
    with store.transaction(scope) as tx:
        parcels = queue.behind(tx, after, PAGE)
        if not parcels:
            addresses.clear(tx)
        return parcels


def _pass_on(store: Store, parcel: Parcel) -> None:
    try:
        with store.transaction(REGISTRY, write=False) as tx:
            heir = domains.route(tx, parcel.domain)
        if heir is not None:
            with store.transaction(parcel.scope, write=False) as tx:
                raw = contents.read(tx, parcel.content)
            prepared = contents.prepare(store, heir, raw)
            with store.transaction(heir) as tx:
                _inherit(tx, parcel, prepared)
    except Exception:
        log.exception("not_passed_on", scope=parcel.scope, message=parcel.message, domain=parcel.domain)


def _inherit(tx: Tx, parcel: Parcel, prepared: Prepared) -> None:
    """Queue the copies that have not been delivered here, and note them as if they had."""
    left = tuple(copy for copy in parcel.copies if not queue.is_handed_over(tx, parcel.scope, copy.number))
    for copy in left:
        queue.note_hand_over(tx, parcel.scope, copy.number)
    if left:
        envelope = replace(parcel, copies=left).envelope
        queue.enqueue(tx, envelope, contents.keep(tx, prepared), size=prepared.size, assessment=parcel.assessment)
