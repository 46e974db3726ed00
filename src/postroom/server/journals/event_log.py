"""Mail events as they leave the program: into a journal of its own, and to CloudWatch Logs for organizations that ask for it.

WorkMail administrator guide: monitoring email event logs
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from postroom.aws.log_delivery import Destination, LogDelivery
from postroom.directory import organizations
from postroom.mailflow.events import MailEvent
from postroom.model import errors
from postroom.policy import monitoring
from postroom.policy.monitoring import Monitoring
from postroom.server.journals.journal import Journal, Settings
from postroom.storage.engine import REGISTRY, Store

NAME = "events"
KNOWN_SECONDS = 10.0
"""How long a monitoring configuration that another process may have changed is believed."""

log = structlog.get_logger("postroom.events")


class EventLog:
    """Records what transactions tell of mail."""

    def __init__(self, store: Store, folder: Path, settings: Settings, delivery: LogDelivery | None) -> None:
        self._store = store
        self._delivery = delivery
        self._journal = Journal(folder, NAME, settings, self._render)
        self._organizations: dict[int, str] = {}
        self._configurations: dict[int, tuple[float, Monitoring | None]] = {}
        self._turn = threading.Lock()
        self._stop_listening: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to record; what was told before is not."""
        self._stop_listening = self._store.notifier.on(monitoring.TOPIC, self._forget)
        if self._delivery is not None:
            self._delivery.start()
        self._journal.start()
        self._store.notifier.record(self._record)

    def close(self, seconds: float) -> None:
        """Write all that has been told, and deliver what can be delivered in so many seconds."""
        self._stop_listening()
        self._journal.close(seconds)
        if self._delivery is not None:
            self._delivery.close(seconds)

    def _record(self, events: Sequence[object]) -> None:
        for event in events:
            if isinstance(event, MailEvent):
                self._journal.put(event)

    def _render(self, event: MailEvent) -> bytes:
        at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        organization = self._organization(event.scope)
        line = msgspec.json.encode(
            {
                "eventTimestamp": at,
                "organizationId": organization,
                "traceId": event.trace,
                "event": {"eventName": event.name, **event.fields},
            }
        )
        if self._delivery is not None:
            self._send(self._delivery, organization, event, line)
        return line

    def _send(self, delivery: LogDelivery, organization: str, event: MailEvent, line: bytes) -> None:
        configuration = self._configuration(event.scope)
        if configuration is not None:
            stream = f"{organization}/{os.uname().nodename}"
            delivery.put(Destination(configuration.log_group, stream, configuration.role_arn), event.at, line.decode())

    def _organization(self, scope: int) -> str:
        if scope not in self._organizations:
            with self._store.transaction(REGISTRY, write=False) as tx:
                found = organizations.find_by_number(tx, scope)
            self._organizations[scope] = found.id if found else str(scope)
        return self._organizations[scope]

    def _configuration(self, scope: int) -> Monitoring | None:
        """Find where an organization's events go; while that cannot be read, where they went before."""
        now = time.monotonic()
        with self._turn:
            until, known = self._configurations.get(scope, (0.0, None))
        if until > now:
            return known
        try:
            with self._store.transaction(scope, write=False) as tx:
                known = monitoring.find(tx)
        except errors.OrganizationNotFound:
            known = None
        except Exception:
            log.warning("monitoring_not_read", scope=scope, exc_info=True)
        with self._turn:
            self._configurations[scope] = (now + KNOWN_SECONDS, known)
        return known

    def _forget(self, scope: int) -> None:
        with self._turn:
            self._configurations.pop(scope, None)
