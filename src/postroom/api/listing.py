"""What the lists of users, groups and resources share: one filter at the most, and rows as AWS shows them.

The storage gives every list as (sort key, id, email, name, display name, state, role, enabled, disabled, identity provider's user).
"""

from collections.abc import Mapping
from typing import Any

from postroom.api.operation import Answer
from postroom.model import errors
from postroom.storage.queries.entities import Prefix

Row = tuple[Any, ...]


def the_filter(params: Mapping[str, Any], columns: Mapping[str, str]) -> Prefix | None:
    """Read the one filter a list may have, as a condition on its column; raises `InvalidParameter` for several."""
    given = params.get("Filters") or {}
    if len(given) > 1:
        raise errors.InvalidParameter("Only one filter may be given.")
    for name, value in given.items():
        folded = value if name in ("State", "IdentityProviderUserIdPrefix") else value.casefold()
        return Prefix(columns[name], folded)
    return None


def key(row: Row) -> tuple[Any, ...]:
    """Give what the next page begins behind."""
    return row[0], row[1]


def summary(row: Row) -> Answer:
    """Show what users, groups and resources have in common, leaving out what is absent."""
    shown = {"Id": row[1], "Name": row[3], "State": row[5]}
    if row[2] is not None:
        shown["Email"] = row[2]
    if row[7] is not None:
        shown["EnabledDate"] = row[7]
    if row[8] is not None:
        shown["DisabledDate"] = row[8]
    return shown


def present(**members: Any) -> Answer:
    """Leave out what is absent."""
    return {name: value for name, value in members.items() if value is not None}
