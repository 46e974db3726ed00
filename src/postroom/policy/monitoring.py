"""Where an organization lets its mail events go (WorkMail API: PutEmailMonitoringConfiguration)."""

from dataclasses import dataclass

from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import monitoring as rows

TOPIC = "monitoring"
"""Woken when the answer has changed."""


@dataclass(frozen=True, slots=True)
class Monitoring:
    """A log group of CloudWatch, and the role under which it is written to; '' for the server's own credentials."""

    log_group_arn: str
    role_arn: str = ""

    @property
    def log_group(self) -> str:
        """Give the log group's name."""
        return self.log_group_arn.split(":log-group:", 1)[1].removesuffix(":*")


def find(tx: Tx) -> Monitoring | None:
    """Find the configuration."""
    row = rows.find(tx)
    return None if row is None else Monitoring(*row)


def get(tx: Tx) -> Monitoring:
    """Give the configuration; raises ResourceNotFound when there is none."""
    found = find(tx)
    if found is None:
        raise errors.ResourceNotFound("The organization has no email monitoring configuration.")
    return found


def put(tx: Tx, configuration: Monitoring) -> None:
    """Let events go there from now on."""
    rows.put(tx, log_group=configuration.log_group_arn, role=configuration.role_arn)
    tx.changes.wake(TOPIC)


def delete(tx: Tx) -> None:
    """Let them go nowhere but to the server's own log; none is no error."""
    rows.delete(tx)
    tx.changes.wake(TOPIC)
