"""A small organization to write to: people, aliases, groups within groups, a full mailbox, and neighbours."""

from dataclasses import dataclass
from functools import cache

from postroom.directory import addresses, groups, registration, users
from postroom.mailbox import access, contents, folders, items
from postroom.model.actors import Actor, Client, Protocol
from postroom.model.organizations import Organization
from postroom.policy import passwords
from postroom.storage.engine import Store, Tx
from postroom.storage.queries import mailboxes

PASSWORD = "Correct-Horse-9"


@cache
def password_hash() -> str:
    """The stored form of `PASSWORD`, made once."""
    return passwords.hash(PASSWORD)


@dataclass(frozen=True)
class People:
    """The ids by name."""

    organization: Organization
    ids: dict[str, str]

    def actor(self, name: str) -> Actor:
        """Somebody who has signed in."""
        client = Client(Protocol.SMTP, "127.0.0.1", secure=True)
        email = f"{name}@{self.organization.default_domain}"
        return Actor(self.organization.number, self.organization.id, self.ids[name], email, client)


def add_user(tx: Tx, name: str, domain: str, *, quota_mb: int = 0) -> str:
    """Make a registered user whose password is `PASSWORD`."""
    user = users.create(tx, name=name, display_name=name.title(), password_hash=password_hash())
    registration.register(tx, user.id, f"{name}@{domain}")
    if quota_mb:
        mailboxes.set_quota(tx, user.id, quota_mb)
    return user.id


def add_group(tx: Tx, name: str, domain: str, *members: str) -> str:
    """Make a registered group."""
    group = groups.create(tx, name=name)
    registration.register(tx, group.id, f"{name}@{domain}")
    for member in members:
        groups.add_member(tx, group.id, member)
    return group.id


def populate(store: Store, organization: Organization) -> People:
    """Fill an organization: alice (alias ally), bob, carol with 1 MB, staff (alice, bob, everybody), everybody (staff, carol), nobody."""
    domain = organization.default_domain
    with store.transaction(organization.number) as tx:
        ids = {name: add_user(tx, name, domain) for name in ("alice", "bob")}
        ids["carol"] = add_user(tx, "carol", domain, quota_mb=1)
        addresses.add_alias(tx, ids["alice"], f"ally@{domain}")
        ids["staff"] = add_group(tx, "staff", domain, ids["alice"], ids["bob"])
        ids["everybody"] = add_group(tx, "everybody", domain, ids["staff"], ids["carol"])
        groups.add_member(tx, ids["staff"], ids["everybody"])
        ids["empty"] = add_group(tx, "empty", domain)
    return People(organization, ids)


def inbox(store: Store, scope: int, owner: str) -> list[bytes]:
    """Read everything in somebody's inbox, oldest first."""
    with store.transaction(scope, write=False) as tx:
        mailbox = access.open_for_delivery(tx, owner)
        folder = folders.by_role(tx, mailbox, "inbox")
        rows = items.rows(tx, folder.id, [(1, 2**32 - 1)], ("content",))
        return [contents.read(tx, content) for (content,) in rows]
