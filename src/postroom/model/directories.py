"""Users and groups as a directory of others has them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OutsideUser:
    """A user; `id` stays the same when the entry is renamed, `changed` moves when the password is changed."""

    id: str
    dn: str
    name: str
    display_name: str
    profile: Mapping[str, str] = field(default_factory=dict)
    active: bool = True
    changed: str = ""


@dataclass(frozen=True, slots=True)
class OutsideGroup:
    """A group; `members` are DNs, `member_names` names of users."""

    id: str
    dn: str
    name: str
    members: Sequence[str] = ()
    member_names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everybody who is there."""

    users: Sequence[OutsideUser]
    groups: Sequence[OutsideGroup]


def digest(*parts: object) -> str:
    """Give what is the same only for the same values."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True, default=str).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
