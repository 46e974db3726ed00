"""What the entries of a directory say of users and groups."""

import re
import uuid
from collections.abc import Sequence

from postroom.ldap.link import Attributes
from postroom.ldap.settings import ACTIVE_DIRECTORY_PROFILE, MEANINGS, PROFILE, Settings
from postroom.model.directories import OutsideGroup, OutsideUser

LONGEST_TEXT = 256
ACCOUNT_DISABLED = 0x2
"""The bit of userAccountControl ([MS-ADTS] §2.2.16)."""
MOST_SUBAUTHORITIES = 15
_USER_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_GROUP_NAME = re.compile(r"[\u0020-\u00ff]{1,256}\Z")


class Meaning:
    """Reads entries as the settings say."""

    def __init__(self, settings: Settings) -> None:
        profile = PROFILE if settings.type == "ldap" else ACTIVE_DIRECTORY_PROFILE
        self._names = MEANINGS[settings.type] | profile | settings.attributes
        self._profile = tuple(profile)
        self._bits = self._names.get("disabled", "").lower() == "useraccountcontrol"

    @property
    def of_ids(self) -> list[str]:
        """List what is read to know an entry again."""
        return self._asked("id")

    @property
    def of_users(self) -> list[str]:
        """List the attributes that are read of users."""
        return self._asked("id", "name", "display_name", "disabled", "password_changed", *self._profile)

    @property
    def of_groups(self) -> list[str]:
        """List the attributes that are read of groups."""
        return self._asked("id", "group_name", "members", "unique_members", "member_names")

    @property
    def members(self) -> str:
        """The attribute of members that a server may give in parts."""
        return self._names["members"].lower()

    def user(self, dn: str, attributes: Attributes) -> OutsideUser | None:
        """Read a user; None for one without an id, or without a name that a mail user can have."""
        identifier, name = self.id(attributes), self._text(attributes, "name")
        if identifier is None or not _USER_NAME.match(name):
            return None
        display = self._text(attributes, "display_name") or self._text(attributes, "first_name") or name
        profile = {field: text for field in self._profile if (text := self._text(attributes, field))}
        changed = self._text(attributes, "password_changed")
        return OutsideUser(identifier, dn, name, display, profile, not self._disabled(attributes), changed)

    def group(self, dn: str, attributes: Attributes) -> OutsideGroup | None:
        """Read a group; None for one without an id or a name."""
        identifier, name = self.id(attributes), self._text(attributes, "group_name")
        if identifier is None or not _GROUP_NAME.match(name):
            return None
        members = [*self._texts(attributes, "members"), *self._texts(attributes, "unique_members")]
        return OutsideGroup(identifier, dn, name, tuple(members), tuple(self._texts(attributes, "member_names")))

    def id(self, attributes: Attributes) -> str | None:
        """Read what stays when the entry is renamed or moved: a security identifier, or a UUID."""
        values = self._values(attributes, "id")
        if not values:
            return None
        kind = self._names["id"].lower()
        try:
            if kind == "objectsid":
                return sid(values[0])
            return str(uuid.UUID(bytes_le=values[0]) if kind == "objectguid" else uuid.UUID(values[0].decode()))
        except ValueError:
            return None

    def _asked(self, *meanings: str) -> list[str]:
        return list(dict.fromkeys(self._names[meaning] for meaning in meanings if self._names.get(meaning)))

    def _values(self, attributes: Attributes, meaning: str) -> Sequence[bytes]:
        return attributes.get(self._names.get(meaning, "").lower(), ())

    def _texts(self, attributes: Attributes, meaning: str) -> list[str]:
        return [value.decode(errors="replace") for value in self._values(attributes, meaning)]

    def _text(self, attributes: Attributes, meaning: str) -> str:
        """Give the first value, on one line and not too long."""
        found = self._texts(attributes, meaning)
        return " ".join("".join(letter if letter.isprintable() else " " for letter in found[0]).split())[:LONGEST_TEXT] if found else ""

    def _disabled(self, attributes: Attributes) -> bool:
        text = self._text(attributes, "disabled")
        if self._bits:
            return bool(re.fullmatch(r"-?[0-9]{1,10}", text)) and bool(int(text) & ACCOUNT_DISABLED)
        return text.lower() not in ("", "false", "0", "no")


def sid(octets: bytes) -> str:
    """Spell a security identifier, `S-1-5-21-...`; raises ValueError ([MS-DTYP] §2.4.2)."""
    if len(octets) < 12 or octets[0] != 1 or octets[1] > MOST_SUBAUTHORITIES or len(octets) != 8 + 4 * octets[1]:
        raise ValueError("no security identifier")
    parts = [int.from_bytes(octets[at : at + 4], "little") for at in range(8, len(octets), 4)]
    return "-".join(["S-1", str(int.from_bytes(octets[2:8], "big")), *map(str, parts)])


def ranged(attributes: Attributes, name: str) -> tuple[list[bytes], int | None]:
    """Give the values of an attribute that a server gives in parts, and where the next part begins ([MS-ADTS] §3.1.1.3.1.3.3)."""
    for key, values in attributes.items():
        found = re.fullmatch(re.escape(name) + r";range=(\d+)-(\d+|\*)", key)
        if found:
            return list(values), None if found[2] == "*" else int(found[2]) + 1
    return list(attributes.get(name, ())), None
