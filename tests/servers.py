"""Every door of the server over one store, in a thread of its own: the API for boto3, SMTP for smtplib, IMAP for imapclient."""

import asyncio
import smtplib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import boto3
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError
from imapclient import IMAPClient

from postroom.api.gateway import Gateway
from postroom.api.settings import Settings as ApiSettings
from postroom.model.organizations import Organization
from postroom.policy.authenticator import Authenticator
from postroom.policy.iam import access_keys
from postroom.protocols.imap.server import ImapServer
from postroom.protocols.imap.settings import Settings as ImapSettings
from postroom.protocols.smtp.server import SmtpServer
from postroom.protocols.smtp.settings import Settings as SmtpSettings
from postroom.storage.engine import REGISTRY, Store

PASSWORD = "Correct-Horse-9"
SESSION = boto3.Session()
"""Shared, since it keeps the service model it has read."""


def letter(subject: str, size: int = 0) -> bytes:
    """Write a letter of about so many octets."""
    head = f"From: bob@elsewhere.test\r\nTo: somebody\r\nSubject: {subject}\r\nMessage-ID: <{subject.replace(' ', '.')}@elsewhere.test>\r\n\r\n"
    line = b"Nothing new here, and nothing that compresses: " + subject.encode() + b"\r\n"
    return head.encode() + line * max(1, size // len(line))


@dataclass
class Serving:
    """The doors of one organization's server, and what clients do there."""

    store: Store
    organization: Organization
    workmail: Any
    imap_port: int
    smtp_port: int
    opened: ExitStack
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def scope(self) -> int:
        return self.organization.number

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """Ask the API about the organization."""
        answer = getattr(self.workmail, operation)(OrganizationId=self.organization.id, **params)
        answer.pop("ResponseMetadata")
        return dict(answer)

    def fails(self, operation: str, **params: Any) -> str:
        """Ask in vain; give the code."""
        try:
            self.call(operation, **params)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        raise AssertionError(f"{operation} succeeded")

    def hire(self, name: str, quota_mb: int = 0) -> str:
        """Add somebody with a mailbox; give the id."""
        self.ids[name] = self.call("create_user", Name=name, DisplayName=name.title(), Password=PASSWORD)["UserId"]
        self.call("register_to_work_mail", EntityId=self.ids[name], Email=self.address(name))
        if quota_mb:
            self.call("update_mailbox_quota", UserId=self.ids[name], MailboxQuota=quota_mb)
        return self.ids[name]

    def address(self, name: str) -> str:
        return f"{name}@example.test"

    def imap(self, name: str) -> IMAPClient:
        """Sign somebody in."""
        client = IMAPClient("127.0.0.1", self.imap_port, ssl=False, use_uid=True, timeout=30)
        client.login(self.address(name), PASSWORD)
        self.opened.callback(_leave, client)
        return client

    def send(self, name: str, raw: bytes) -> None:
        """Bring somebody a letter from outside; raises what smtplib raises."""
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=30) as smtp:
            smtp.sendmail("bob@elsewhere.test", [self.address(name)], raw)

    def used(self, name: str) -> int:
        """Give the octets in somebody's mailbox as the API tells them."""
        size = self.call("get_mailbox_details", UserId=self.ids[name])["MailboxSize"] * 1024 * 1024
        assert size == round(size)
        return round(size)


def subjects(client: IMAPClient, folder: str) -> list[str]:
    """List the subjects in a folder."""
    client.select_folder(folder, readonly=True)
    found = client.fetch(client.search(), ["ENVELOPE"])
    return [found[uid][b"ENVELOPE"].subject.decode() for uid in sorted(found)]


def seen_size(client: IMAPClient) -> int:
    """Add up the sizes of every message in every folder, as IMAP tells them."""
    total = 0
    for _, _, folder in client.list_folders():
        client.select_folder(folder, readonly=True)
        uids = client.search()
        sizes = client.fetch(uids, ["RFC822.SIZE"]) if uids else {}
        total += sum(one[b"RFC822.SIZE"] for one in sizes.values())
        assert client.folder_status(folder, ["SIZE"])[b"SIZE"] == sum(one[b"RFC822.SIZE"] for one in sizes.values())
    return total


@contextmanager
def serving(store: Store, organization: Organization) -> Iterator[Serving]:
    """Serve an organization for the block; the clock of the store has to be about right."""
    with store.transaction(REGISTRY) as tx:
        key = access_keys.issue(tx, name="admin")
    settings = ApiSettings()
    authenticator = Authenticator(store)
    imap = ImapServer(store=store, authenticator=authenticator, settings=ImapSettings(clear_sign_in=True))
    smtp = SmtpServer("mx", store=store, authenticator=authenticator, settings=SmtpSettings(hostname="mx.example.test"))
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [one.getsockname()[1] for one in sockets]
    api = uvicorn.Server(uvicorn.Config(Gateway(store, settings), lifespan="off", log_config=None, ws="none"))
    end, listening = threading.Event(), threading.Event()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        doors = [
            await loop.create_server(lambda: imap.connection(implicit_tls=False), sock=sockets[1]),
            await loop.create_server(lambda: smtp.connection(implicit_tls=False), sock=sockets[2]),
        ]
        gateway = asyncio.create_task(api.serve(sockets=[sockets[0]]))
        listening.set()
        await asyncio.to_thread(end.wait)
        api.should_exit = True
        for door in doors:
            door.close()
        await asyncio.gather(imap.close(1.0), smtp.close(1.0), gateway)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    listening.wait(20)
    workmail = SESSION.client(
        "workmail",
        region_name=settings.region,
        endpoint_url=f"http://127.0.0.1:{ports[0]}",
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        config=Config(retries={"total_max_attempts": 1}),
    )
    try:
        with ExitStack() as opened:
            yield Serving(store, organization, workmail, ports[1], ports[2], opened)
    finally:
        end.set()
        thread.join()


def _leave(client: IMAPClient) -> None:
    with suppress(Exception):
        client.logout()
