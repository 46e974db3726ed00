"""Looks whether DNS shows the records of Ed25519 keys, so that letters are signed by them, too.

What a verifier would ask is asked, so the CNAME in the domain's zone and the key in the operator's are proved together. While a record is
not there it is looked for every hour; one that is there every day, and a key whose record has gone signs no more. Where DNS proves nothing
every key signs.
"""

import itertools
import time
from collections.abc import Iterable

import structlog

from postroom.directory import dkim
from postroom.formats.dkim import compact, tags
from postroom.server.dns.lookups import Lookups, NoAnswer
from postroom.storage.engine import Store

PAGE = 200
SHARE_SECONDS = 10.0
"""How long one organization's keys are asked about before it is another's turn."""

log = structlog.get_logger("postroom.server")


def look(store: Store, scope: int, lookups: Lookups | None, *, seconds: float = SHARE_SECONDS) -> int:
    """Look for the records of an organization's keys whose time has come, for so many seconds; give how many were looked for."""
    with store.transaction(scope, write=False) as tx:
        waiting = dkim.unlooked(tx, limit=PAGE)
    end = time.monotonic() + seconds
    return _look(store, scope, itertools.takewhile(lambda _: time.monotonic() < end, waiting), lookups)


def look_at(store: Store, scope: int, name: str, lookups: Lookups) -> int:
    """Look for the records of one domain's keys now; give how many were looked for."""
    with store.transaction(scope, write=False) as tx:
        waiting = dkim.beside(tx, name)
    return _look(store, scope, waiting, lookups)


def _look(store: Store, scope: int, waiting: Iterable[tuple[str, str, str]], lookups: Lookups | None) -> int:
    found = [(name, selector, public, is_shown(name, selector, public, lookups)) for name, selector, public in waiting]
    if found:
        with store.transaction(scope) as tx:
            for name, selector, public, seen in found:
                dkim.note_look(tx, name, selector, public, seen=seen)
    return len(found)


def is_shown(name: str, selector: str, public: str, lookups: Lookups | None) -> bool:
    """Say whether DNS shows a key under its domain; what nobody answers for is not shown."""
    if lookups is None:
        return True
    try:
        texts = lookups.records(f"{selector}._domainkey.{name}", "TXT")
    except NoAnswer as error:
        log.info("key_not_looked_up", domain=name, selector=selector, reason=str(error))
        return False
    return len(texts) == 1 and _is_of(texts[0], public)


def _is_of(text: str, public: str) -> bool:
    try:
        record = tags(text.encode())
    except ValueError:
        return False
    return record.get("k") == "ed25519" and compact(record.get("p", "")) == public
