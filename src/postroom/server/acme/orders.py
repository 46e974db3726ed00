"""Which certificates are to be ordered now, and the ordering of one with all that is remembered of it: plain code for a thread.

Who orders or writes to the ledger holds the lease; whoever looks needs none.
"""

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from prometheus_client import Counter

from postroom.mailflow.authentication.dmarc import organizational
from postroom.server import certificates
from postroom.server.acme import names, ordering, pacing
from postroom.server.acme.account import Refused
from postroom.server.acme.folder import Folder
from postroom.server.acme.names import Here
from postroom.server.acme.ordering import Authority
from postroom.server.acme.pacing import DAY, Ledger
from postroom.server.dns.lookups import Lookups, NoAnswer
from postroom.server.settings import Settings
from postroom.storage.engine import REGISTRY, Store
from postroom.storage.queries import leases

LEASE = "certificates"
LEASE_SECONDS = ordering.SECONDS + 120.0
ASK_AGAIN_SECONDS = 6 * 3600.0
"""How long it is at least until an authority is asked again when it wants a certificate to be renewed (RFC 9773 §4.3.2)."""
ORDERS = Counter("postroom_certificate_orders", "Certificates that were ordered by ACME, by outcome: issued, refused.", ["outcome"])

log = structlog.get_logger("postroom.acme")


class Orders:
    """What is ordered by this process; `now` gives epoch seconds."""

    def __init__(self, settings: Settings, store: Store, *, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._store = store
        self._now = now
        self._ended = threading.Event()
        self._folder = Folder(Path(settings.data))
        self._authority = Authority(settings.tls.acme, self._folder, self._ended)
        self._holder = f"{leases.holder()}:{secrets.token_hex(4)}"

    def end(self) -> None:
        """Let what is under way end soon, with Interrupted."""
        self._ended.set()

    def wanted(self) -> list[str]:
        """List the names that may have a certificate, whether they lead here or not."""
        return names.configured(self._settings) or names.candidates(self._settings, self._store)

    def due(self) -> list[str]:
        """List the names to order for now: those about to end first, then those that have none yet and lead here."""
        now, ledger, wanted = self._now(), pacing.load(self._folder.orders), self.wanted()
        self._drop(wanted, now)
        found = [(ends, name) for name in wanted if (ends := self._ends_if_due(ledger, name, now)) is not None]
        found.sort(key=lambda pair: pair[0] or now * 2)
        return self._leading([name for _, name in found])

    def to_ask(self) -> list[str]:
        """List the names whose authority is to be asked when it wants their certificates to be renewed."""
        now, ledger = self._now(), pacing.load(self._folder.orders)
        known = [name for name in self.wanted() if self._folder.files(name)]
        return [name for name in known if not now < ledger.of(name).ask_at < now + 2 * pacing.WEEK]

    def order(self, name: str, *, asked: bool = False) -> None:
        """Order a certificate if it is due, or because somebody has `asked` for it; raises Refused, which has been logged."""
        now, ledger = self._now(), pacing.load(self._folder.orders)
        if not asked and self._ends_if_due(ledger, name, now) is None:
            return  # another process has done it meanwhile
        self._refuse_too_many(ledger, name, now)
        ledger.began(name, now, new=self._folder.files(name) is None)
        pacing.save(self._folder.orders, ledger)
        try:
            self._authority.obtain(name)
        except Refused as error:
            ORDERS.labels("refused").inc()
            ledger.failed(name, now, str(error), pause=error.pause, spread=random.random())  # noqa: S311
            pacing.save(self._folder.orders, ledger)
            self._tell(ledger, name, now, str(error))
            raise
        ORDERS.labels("issued").inc()
        ledger.succeeded(name)
        pacing.save(self._folder.orders, ledger)
        log.info("certificate_issued", name=name)

    def ask(self, name: str) -> None:
        """Ask the authority when it wants a certificate to be renewed; raises Refused."""
        files, ledger = self._folder.files(name), pacing.load(self._folder.orders)
        if files is None:
            return
        record = ledger.of(name)
        record.ask_at = self._now() + ASK_AGAIN_SECONDS
        try:
            at, again = self._authority.renewal(files.certificate.read_bytes())
            record.renew_at = at or 0.0
            record.ask_at = max(record.ask_at, min(again, self._now() + DAY))
        finally:
            pacing.save(self._folder.orders, ledger)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Hold the lease, or tell that another process does."""
        with self._store.transaction(REGISTRY) as tx:
            taken = leases.take(tx, LEASE, self._holder, LEASE_SECONDS)
        if taken:
            self._folder.make()
        try:
            yield taken
        finally:
            if taken:
                with self._store.transaction(REGISTRY) as tx:
                    leases.release(tx, LEASE, self._holder)

    def _ends_if_due(self, ledger: Ledger, name: str, now: float) -> float | None:
        """Give the end of a certificate that is to be ordered now, 0 where there is none; None if it is not to be."""
        record = ledger.of(name)
        if now < record.not_before < now + 2 * pacing.WEEK:
            return None
        validity = self._validity(name)
        if validity is None:
            return 0.0
        return validity[1] if now >= pacing.due_at(record, *validity) else None

    def _validity(self, name: str) -> tuple[float, float] | None:
        """Give from when to when the present certificate of a name is valid; None where there is none that can be used."""
        files = self._folder.files(name)
        try:
            if files is None or name not in certificates.names(files.certificate):
                return None
            return certificates.validity(files.certificate)
        except (OSError, ValueError):
            return None

    def _leading(self, found: list[str]) -> list[str]:
        """Leave those that lead here, unless the settings name them."""
        if not found or self._settings.tls.acme.names:
            return found
        try:
            here = Here(Lookups(self._settings.dns.nameservers), self._settings.mail.hostname)
        except NoAnswer as error:
            log.warning("names_not_looked_for", reason=str(error))
            return []
        return [name for name in found if not self._ended.is_set() and here.leads(name)]

    def _drop(self, wanted: list[str], now: float) -> None:
        """Remove what has ended and nobody wants any more."""
        present = [path.name for path in self._folder.live.iterdir()] if self._folder.live.exists() else []
        for name in set(present).difference(wanted):
            validity = self._validity(name)
            if validity is None or validity[1] + DAY < now:
                self._folder.remove(name)

    def _refuse_too_many(self, ledger: Ledger, name: str, now: float) -> None:
        """Raise Refused where the bounds let no order be made."""
        allowed = ledger.allowed_at(name, now, organizational)
        if allowed <= now:
            return
        record = ledger.of(name)
        record.error, record.not_before = f"too many orders: the next one in {(allowed - now) / 3600:.1f} hours", allowed
        pacing.save(self._folder.orders, ledger)
        self._tell(ledger, name, now, record.error)
        raise Refused(record.error)

    def _tell(self, ledger: Ledger, name: str, now: float, reason: str) -> None:
        record, validity = ledger.of(name), self._validity(name)
        left = round((validity[1] - now) / DAY, 1) if validity else None
        again = round(record.not_before - now)
        log.error("certificate_not_issued", name=name, reason=reason, failures=record.failures, again_in_seconds=again, days_left=left)
