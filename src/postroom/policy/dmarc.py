"""Whether an organization acts as the senders' DMARC policies ask; one that has not said does."""

from postroom.storage.engine import Tx
from postroom.storage.queries import monitoring


def dmarc_enforced(tx: Tx) -> bool:
    """Say whether DMARC policies are enforced on mail that comes in (WorkMail API: DescribeInboundDmarcSettings)."""
    return monitoring.find_dmarc(tx) is not False


def set_enforced(tx: Tx, enforced: bool) -> None:
    """Enforce them, or not (WorkMail API: PutInboundDmarcSettings)."""
    monitoring.put_dmarc(tx, enforced=enforced)
