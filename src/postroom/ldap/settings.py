"""What an operator says of a directory: where it is, what of it counts, and what its attributes mean."""

from typing import Literal

import msgspec

MEANINGS: dict[str, dict[str, str]] = {
    "ldap": {
        "id": "entryUUID",
        "name": "uid",
        "display_name": "displayName",
        "group_name": "cn",
        "members": "member",
        "unique_members": "uniqueMember",
        "member_names": "memberUid",
        "disabled": "nsAccountLock",
        "password_changed": "pwdChangedTime",
    },
    "active-directory": {
        "id": "objectSid",
        "name": "sAMAccountName",
        "display_name": "displayName",
        "group_name": "sAMAccountName",
        "members": "member",
        "disabled": "userAccountControl",
        "password_changed": "pwdLastSet",
    },
}
"""Which attribute means what, for each type; a directory may say otherwise."""
PROFILE = {
    "first_name": "givenName",
    "last_name": "sn",
    "initials": "initials",
    "telephone": "telephoneNumber",
    "street": "street",
    "job_title": "title",
    "city": "l",
    "company": "o",
    "zip_code": "postalCode",
    "department": "departmentNumber",
    "country": "c",
    "office": "physicalDeliveryOfficeName",
}
ACTIVE_DIRECTORY_PROFILE = PROFILE | {"street": "streetAddress", "company": "company", "department": "department"}
FILTERS = {
    "ldap": (
        "(objectClass=inetOrgPerson)",
        "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))",
    ),
    "active-directory": ("(&(objectCategory=person)(objectClass=user))", "(objectClass=group)"),
}
"""What is a user and what a group, for each type."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A directory of others, whose users and groups an organization has that is made with its id."""

    id: str
    """What CreateOrganization calls it, as DirectoryId: `d-` and ten hex digits of your choice, such as `d-906700f2a1`."""
    type: Literal["ldap", "active-directory"] = "ldap"
    """What its attributes and classes are called, and what they mean."""
    urls: tuple[str, ...] = ()
    """Its servers, asked in this order until one answers: `ldaps://host`, or `ldap://host` with `starttls`."""
    starttls: bool = False
    """Whether to ask for TLS on `ldap://` connections."""
    plain: bool = False
    """Whether passwords may travel in clear to another machine. Without it, `ldap://` needs `starttls`, or a loopback address."""
    ca: str = ""
    """A PEM file with the authorities that vouch for its servers; those of the machine when empty."""
    bind_dn: str = ""
    """As whom to read."""
    bind_password: str = ""
    """The password to read with."""
    bind_password_file: str = ""
    """A file with that password in its first line, in place of `bind_password`."""
    base: str = ""
    """Where users and groups are, at any depth, such as `dc=example,dc=com`."""
    users_base: str = ""
    """Where users are; `base` by default."""
    groups_base: str = ""
    """Where groups are; `base` by default."""
    users_filter: str = ""
    """Who is a user (RFC 4515): every `inetOrgPerson`, or every person of Active Directory, by default."""
    groups_filter: str = ""
    """What is a group: every `groupOfNames`, `groupOfUniqueNames` and `posixGroup`, or every group of Active Directory, by default."""
    attributes: dict[str, str] = {}
    """Which attribute means what, where it is not as usual, such as `name = "mailNickname"`; docs/operations.md lists the meanings."""
    sync_seconds: float = 900.0
    """How long after one synchronization the next begins."""
    connect_seconds: float = 5.0
    """How long it may take to connect, and to answer a sign-in."""
    answer_seconds: float = 60.0
    """How long it may be silent while it is read."""
    page: int = 500
    """How many entries to ask for at a time (RFC 2696); no more than its servers allow."""
    entries: int = 100_000
    """The most users, and the most groups, that are read; with more, nothing is."""
    vanishing_percent: float = 20.0
    """A synchronization that would take away more of the users and groups than this, and more than two, is refused as a mistake."""
    offline_days: float = 7.0
    """How long a password that the directory has confirmed opens while it is out of reach, after the last time; 0 for never."""
