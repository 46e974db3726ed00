"""Whether every letter of an organization is recorded, and where the records go.

WorkMail administrator guide: using email journaling
"""

from dataclasses import dataclass

from postroom.directory import domains
from postroom.model import errors
from postroom.model.addresses import parse
from postroom.storage.engine import Tx
from postroom.storage.queries import domains as domain_rows
from postroom.storage.queries import journaling as rows

NAME = "amazonjournaling"
"""From whom records come, at the organization's test domain; nobody else can have that name."""


@dataclass(frozen=True, slots=True)
class Journaling:
    """The address that gets the records, the one that hears of those that cannot be delivered, and their sender.

    `configured` says that this stands in the configuration, where alone it can be changed.
    """

    journal: str
    report: str
    sender: str
    configured: bool = False


def find(tx: Tx) -> Journaling | None:
    """Find where records go, None where letters are not recorded."""
    row = rows.find(tx)
    return None if row is None else Journaling(*row)


def start(tx: Tx, journal: str, report: str) -> Journaling:
    """Record every letter from now on; raises `InvalidParameter`."""
    _require_changeable(tx)
    return _put(tx, journal, report, configured=False)


def stop(tx: Tx) -> bool:
    """Record letters no more; False when none were. Raises `InvalidParameter` where the configuration wants it."""
    _require_changeable(tx)
    return bool(rows.delete(tx))


def configure(tx: Tx, wanted: tuple[str, str] | None) -> bool:
    """Record letters as the configuration says: to an address, failures to another, or no more; tells whether something has changed."""
    before = find(tx)
    if wanted is None:
        return before is not None and before.configured and bool(rows.delete(tx))
    return _put(tx, *wanted, configured=True) != before


def _put(tx: Tx, journal: str, report: str, *, configured: bool) -> Journaling:
    found = Journaling(str(parse(journal)), str(parse(report)), f"{NAME}@{_test_domain(tx)}", configured)
    rows.put(tx, journal=found.journal, report=found.report, sender=found.sender, configured=configured)
    return found


def _require_changeable(tx: Tx) -> None:
    found = find(tx)
    if found is not None and found.configured:
        raise errors.InvalidParameter("Journaling stands in the configuration; change it there.")


def _test_domain(tx: Tx) -> str:
    name = ""
    while names := domain_rows.page(tx, after=name, limit=100):
        for name in names:
            if domains.get(tx, name).test:
                return name
    raise errors.DomainNotFound("The organization has no test domain.")
