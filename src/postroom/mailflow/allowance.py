"""How much users may send in a day, UTC: counted in one place, whether a user submits it or a script sends it.

An organization may write to so many recipients outside, and each of its users to fewer; to recipients in the organization they write as
they like. From the test domain that it starts with, an organization may write to few, wherever they are (WorkMail: quotas).
"""

import msgspec

from postroom.directory import domains
from postroom.model import errors
from postroom.storage.engine import Tx
from postroom.storage.queries import sending

DAY = 86_400
EVERYBODY = ""
"""Under which name the recipients of a whole organization are counted."""


class Allowance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many recipients may be written to in a day, UTC (WorkMail: quotas). Mail from one's own domain to colleagues does not count."""

    external: int = 10_000
    """Recipients outside the organization that a user may write to, from a domain of its own; redirects and automatic replies count."""
    organization: int = 100_000
    """The same for all users of an organization together."""
    test_domain: int = 200
    """Recipients anywhere that an organization may write to from the test domain it starts with."""


def spend(tx: Tx, user: str, sender: str, allowance: Allowance, *, here: int, elsewhere: int) -> None:
    """Count recipients of today, of a letter from an address; raises `LimitExceeded`, and counts nothing then, when they are too many."""
    day = int(tx.now) // DAY
    if domains.get(tx, sender.rpartition("@")[2]).test:
        kind, number = "test", here + elsewhere
        shares = [(EVERYBODY, allowance.test_domain, "From its test domain your organization may write to {} recipients a day")]
    else:
        kind, number = "external", elsewhere
        shares = [
            (user, allowance.external, "You may write to {} recipients a day"),
            (EVERYBODY, allowance.organization, "Your organization may write to {} recipients a day"),
        ]
    if not number:
        return
    for entity, limit, text in shares:
        if sending.total(tx, entity, day, kind) + number > limit:
            raise errors.LimitExceeded(f"{text.format(limit)}; try again tomorrow")
    for entity, _, _ in shares:
        sending.add(tx, entity, day, kind, number)


def purge(tx: Tx, limit: int) -> int:
    """Forget some of the days that are over; counts rows."""
    return sending.purge(tx, before=int(tx.now) // DAY, limit=limit)
