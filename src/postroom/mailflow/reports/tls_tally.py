"""Counts how the encryption of connections to other servers came out, for reports to their domains (RFC 8460).

In memory first, and from there into the registry in batches: a connection costs no transaction. What was not written yet is lost in a
crash, which costs some counts. Kinds and domains are bounded.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from postroom.mailflow.outbound.tls_outcome import TlsOutcome
from postroom.model.addresses import domain_key
from postroom.model.errors import InvalidParameter
from postroom.storage.engine import Tx
from postroom.storage.queries import tls_counts

DAY = 86_400
MOST_WAITING = 20_000
"""Kinds that are kept in memory between two batches; of more nothing is counted."""
MAX_KINDS = 1_000
"""Kinds of a domain's day."""
MAX_LINES, MAX_TEXT = 100, 300
"""Lines of a policy, and characters of a line or a reason."""


class Kind(msgspec.Struct, frozen=True, omit_defaults=True):
    """Connections that came out alike under one policy; `result` is empty for those that went well, of which no more is told."""

    policy: str
    text: tuple[str, ...] = ()
    mx: str = ""
    receiving: str = ""
    sending: str = ""
    result: str = ""
    reason: str = ""


Counted = tuple[int, str, Kind, int]
"""Day (days since 1970, UTC), domain, kind, count."""


class Tally:
    """A sink for outcomes, to be emptied from time to time. For one thread."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, str, Kind]] = Counter()

    def __call__(self, outcome: TlsOutcome) -> None:
        """Count one."""
        try:
            domain = domain_key(outcome.policy_domain)
        except InvalidParameter:
            return  # an address literal, which has no place for a record
        key = (int(outcome.at // DAY), domain, kind_of(outcome))
        if key in self._counts or len(self._counts) < MOST_WAITING:
            self._counts[key] += 1

    def take(self) -> list[Counted]:
        """Give what was counted since the last time."""
        counted, self._counts = self._counts, Counter()
        return [(day, domain, kind, count) for (day, domain, kind), count in counted.items()]

    def put_back(self, batch: Iterable[Counted]) -> None:
        """Count again what could not be written."""
        for day, domain, kind, count in batch:
            if (day, domain, kind) in self._counts or len(self._counts) < MOST_WAITING:
                self._counts[day, domain, kind] += count


def kind_of(outcome: TlsOutcome) -> Kind:
    """Say what is kept of an outcome."""
    text = tuple(line[:MAX_TEXT] for line in outcome.policy_text[:MAX_LINES])
    if not outcome.result:
        return Kind(outcome.policy_type, text, outcome.mx_host if outcome.policy_type == "tlsa" else "")
    return Kind(
        outcome.policy_type,
        text,
        outcome.mx_host,
        outcome.receiving_ip,
        outcome.sending_ip,
        outcome.result,
        " ".join(outcome.details.split())[:MAX_TEXT],
    )


def write(tx: Tx, batch: Sequence[Counted]) -> None:
    """Add a batch to what stands in the registry."""
    for day, domain, kind, count in batch:
        facts = msgspec.json.encode(kind)
        digest = hashlib.sha256(facts).hexdigest()[:32]
        if not tls_counts.add(tx, day, domain, digest, count) and tls_counts.kinds(tx, day, domain) < MAX_KINDS:
            tls_counts.insert(tx, day, domain, digest=digest, facts=facts.decode(), count=count)


def read(tx: Tx, day: int, domain: str) -> list[tuple[Kind, int]]:
    """Give what was counted of a domain's day, from the registry."""
    return [(msgspec.json.decode(facts, type=Kind), count) for facts, count in tls_counts.rows(tx, day, domain, MAX_KINDS)]
