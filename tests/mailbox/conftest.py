"""A mailbox with its owner signed in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from postroom.mailbox import access, contents, folders, items
from postroom.mailbox.access import Mailbox, Right
from postroom.mailbox.items import Appended
from postroom.model.actors import Actor, Client, Protocol
from postroom.model.organizations import Organization
from postroom.storage.engine import Store, Tx
from postroom.storage.queries import mailboxes


@dataclass
class Desk:
    """An open transaction on alice's mailbox, and ways to put letters into it."""

    store: Store
    tx: Tx
    mailbox: Mailbox

    def put(self, raw: bytes, folder: str = "Inbox", **options: object) -> Appended:
        prepared = contents.prepare(self.store, self.mailbox.scope, raw)
        target = folders.get(self.tx, self.mailbox, folder)
        return items.append(self.tx, self.mailbox, target.id, prepared, **options)  # type: ignore[arg-type]

    def folder(self, path: str = "Inbox") -> folders.Folder:
        return folders.get(self.tx, self.mailbox, path)


def letter(subject: str = "Hello", body: str = "A body", **headers: str) -> bytes:
    lines = {"From": "Bob <bob@other.test>", "To": "alice@example.test", "Subject": subject, **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{head}\r\n{body}\r\n".encode()


@pytest.fixture
def make_mailbox(store: Store, organization: Organization) -> Callable[[Tx, str], Mailbox]:
    def make(tx: Tx, owner: str, quota_mb: int = 10) -> Mailbox:
        mailboxes.create(tx, owner, quota_mb)
        client = Client(Protocol.IMAP, "127.0.0.1", True)
        actor = Actor(organization.number, organization.id, owner, f"{owner}@example.test", client)
        return access.open_mailbox(tx, actor, owner, Right.WRITE)

    return make


@pytest.fixture
def desk(store: Store, organization: Organization, make_mailbox: Callable[[Tx, str], Mailbox]) -> Iterator[Desk]:
    with store.transaction(organization.number) as tx:
        yield Desk(store, tx, make_mailbox(tx, "alice"))
