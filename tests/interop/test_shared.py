"""A colleague's mailbox: opened and lent through the API by boto3, used with imapclient, mbsync and smtplib."""

from __future__ import annotations

import email
import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from tests.interop.reader import Reader
from tests.interop.test_mbsync import plain
from tests.interop.tools import need, run
from tests.program import Ready, User

pytestmark = pytest.mark.effect("PutMailboxPermissions", "DeleteMailboxPermissions", "ListMailboxPermissions")

LETTER = b"From: Ann <ann@far.test>\r\nSubject: Trombones\r\nMessage-ID: <one@far.test>\r\n\r\nA few words about trombones.\r\n"


@pytest.fixture
def owner(hired: Callable[[], User]) -> User:
    """Whose mailbox it is."""
    return hired()


def put(ready: Ready, owner: str, grantee: str, *values: str) -> None:
    ready.workmail().put_mailbox_permissions(
        OrganizationId=ready.organization_id, EntityId=owner, GranteeId=grantee, PermissionValues=list(values)
    )


def group(ready: Ready, name: str, *members: str) -> str:
    """Make a registered group; gives its address."""
    workmail, address = ready.workmail(), f"{name}@{ready.domain}"
    made = workmail.create_group(OrganizationId=ready.organization_id, Name=name)["GroupId"]
    workmail.register_to_work_mail(OrganizationId=ready.organization_id, EntityId=made, Email=address)
    for member in members:
        workmail.associate_member_to_group(OrganizationId=ready.organization_id, GroupId=made, MemberId=member)
    return address


def client(ready: Ready) -> IMAPClient:
    host, port = ready.imaps
    return IMAPClient(host, port, ssl=True, ssl_context=ready.tls(), timeout=30)


@pytest.fixture
def imap(ready: Ready, user: User, owner: User) -> Iterator[IMAPClient]:
    """The user's connection, with the owner's mailbox open to the user."""
    put(ready, owner.id, user.id, "FULL_ACCESS")
    with client(ready) as imap:
        imap.login(user.email, user.password)
        yield imap


@pytest.fixture
def owners(ready: Ready, owner: User) -> Iterator[IMAPClient]:
    """The owner's connection."""
    with client(ready) as imap:
        imap.login(owner.email, owner.password)
        yield imap


def test_every_verb_in_a_colleagues_mailbox(imap: IMAPClient, owners: IMAPClient, owner: User) -> None:
    root = f"Shared/{owner.email}"
    assert imap.namespace().other[0] == ("Shared/", "/")
    listed = {name: flags for flags, _, name in imap.list_folders()}
    assert set(listed) >= {"Shared", root, f"{root}/INBOX", f"{root}/Sent Items"}
    assert b"\\Noselect" in listed[root]
    assert imap.find_special_folder(b"\\Sent") == "Sent Items"
    assert [name for _, _, name in owners.list_folders("Shared/")] == []

    imap.append(f"{root}/INBOX", LETTER, [b"\\Flagged"])
    assert owners.folder_status("INBOX") == imap.folder_status(f"{root}/INBOX")
    (own,), (shared,) = owners.get_quota_root("INBOX")[1], imap.get_quota_root(f"{root}/INBOX")[1]
    assert (shared.quota_root, shared.resource, shared.usage, shared.limit) == (root, own.resource, own.usage, own.limit)
    assert imap.get_quota_root("INBOX")[1][0].usage == 0

    imap.create_folder(f"{root}/Ablage/Übung")
    imap.rename_folder(f"{root}/Ablage", f"{root}/Archiv")
    assert {name for _, _, name in owners.list_folders()} >= {"Archiv", "Archiv/Übung"}
    imap.subscribe_folder(f"{root}/Archiv/Übung")
    assert [name for _, _, name in imap.list_sub_folders("Shared/")] == [f"{root}/Archiv/Übung"]
    assert [name for _, _, name in owners.list_sub_folders() if name.startswith("Shared")] == []
    imap.unsubscribe_folder(f"{root}/Archiv/Übung")

    assert imap.select_folder(f"{root}/INBOX")[b"EXISTS"] == 1
    assert imap.search(["TEXT", "trombones", "FLAGGED"]) == [1]
    fetched = imap.fetch([1], ["RFC822", "FLAGS", "ENVELOPE"])[1]
    assert (fetched[b"RFC822"], fetched[b"ENVELOPE"].subject) == (LETTER, b"Trombones")
    assert b"\\Seen" in imap.get_flags([1])[1]
    imap.add_flags([1], [b"Handled"])
    owners.select_folder("INBOX")
    assert set(owners.get_flags([1])[1]) >= {b"\\Seen", b"\\Flagged", b"Handled"}

    imap.copy([1], "INBOX")
    imap.move([1], f"{root}/Archiv/Übung")
    assert owners.folder_status("Archiv/Übung", ["MESSAGES"]) == {b"MESSAGES": 1}
    imap.select_folder("INBOX")
    assert b"Handled" in imap.get_flags([1])[1]
    imap.move([1], f"{root}/Drafts")
    assert (imap.folder_status("INBOX")[b"MESSAGES"], owners.folder_status("Drafts")[b"MESSAGES"]) == (0, 1)

    imap.select_folder(f"{root}/Archiv/Übung")
    imap.idle()
    owners.append("Archiv/Übung", LETTER)
    assert (2, b"EXISTS") in imap.idle_check(20)
    imap.idle_done()
    imap.delete_messages([1, 2])
    imap.expunge()
    assert owners.folder_status("Archiv/Übung", ["MESSAGES"]) == {b"MESSAGES": 0}
    imap.delete_folder(f"{root}/Archiv/Übung")
    assert not owners.folder_exists("Archiv/Übung")


def test_what_is_not_open_reads_as_what_is_not_there(ready: Ready, imap: IMAPClient, owner: User, hired: Callable[[], User]) -> None:
    closed = hired()
    put(ready, closed.id, owner.id, "FULL_ACCESS")
    answers = set()
    for address in (closed.email, f"nobody@{ready.domain}"):
        for attempt in (imap.select_folder, imap.folder_status, imap.create_folder, imap.delete_folder):
            with pytest.raises(IMAPClientError) as refused:
                attempt(f"Shared/{address}/x")
            answers.add(str(refused.value).partition(": ")[2])
    assert answers == {"[NOPERM] Not permitted."}


def test_a_mailbox_that_is_closed_again_closes_under_its_reader(ready: Ready, imap: IMAPClient, user: User, owner: User) -> None:
    imap.select_folder(f"Shared/{owner.email}/INBOX")
    imap.idle()
    ready.workmail().delete_mailbox_permissions(OrganizationId=ready.organization_id, EntityId=owner.email, GranteeId=user.email)
    assert [answer[0] for answer in imap.idle_check(20)] == [b"BYE"]
    with client(ready) as again:
        again.login(user.email, user.password)
        assert [name for _, _, name in again.list_folders("Shared/")] == []


def test_the_mailbox_as_ones_own(ready: Ready, imap: IMAPClient, owners: IMAPClient, user: User, owner: User) -> None:
    owners.append("INBOX", LETTER)
    with client(ready) as direct:
        direct.login(f"{owner.email}*{user.email}", user.password)
        assert direct.select_folder("INBOX")[b"EXISTS"] == 1
        assert direct.namespace().other is None
    with client(ready) as direct:
        direct.plain_login(user.email, user.password, owner.email)
        assert direct.select_folder("INBOX")[b"EXISTS"] == 1
    with client(ready) as direct:
        for name in (f"{user.email}*{owner.email}", f"{owner.email}*{user.email}x"):
            with pytest.raises(LoginError):
                direct.login(name, user.password)


MBSYNC = """
IMAPAccount far
Host localhost
Port {port}
User {email}
Pass {password}
SSLType IMAPS
CertificateFile {ca_file}
SystemCertificates no

IMAPStore far
Account far

MaildirStore near
Path {folder}/
Inbox {folder}/INBOX
SubFolders Verbatim

Channel shared
Far :far:
Near :near:
Patterns Shared/{owner}/*
Create Both
Expunge Both
SyncState *
"""


def test_mbsync_carries_a_colleagues_mailbox(ready: Ready, imap: IMAPClient, user: User, owner: User, tmp_path: Path) -> None:
    mbsync = need("mbsync", "isync")
    root, folder, configuration = f"Shared/{owner.email}", tmp_path / "mail", tmp_path / "mbsyncrc"
    folder.mkdir()
    values = {"port": ready.imaps[1], "email": user.email, "password": user.password, "ca_file": ready.ca_file}
    configuration.write_text(MBSYNC.format(folder=folder, owner=owner.email, **values))
    configuration.chmod(0o600)
    imap.append(f"{root}/INBOX", LETTER)
    near = folder / root / "INBOX"

    def sync() -> None:
        result = run([mbsync, "-c", configuration, "-a"])
        assert result.returncode == 0, result.stdout.decode(errors="replace")[-4000:]

    sync()
    (first,) = (near / "new").iterdir()
    assert plain(first.read_bytes().replace(b"\n", b"\r\n")) == LETTER
    first.rename(near / "cur" / f"{first.name.partition(':')[0]}:2,FS")
    (near / "cur" / "1795000000.7.test:2,").write_bytes(LETTER.replace(b"one@", b"two@").replace(b"\r\n", b"\n"))
    sync()
    imap.select_folder(f"{root}/INBOX", readonly=True)
    assert set(imap.get_flags([1])[1]) >= {b"\\Seen", b"\\Flagged"}
    assert imap.search(["HEADER", "Message-ID", "two@far.test"]) == [2]


def test_letters_as_and_on_behalf_of_others(ready: Ready, user: User, owner: User, hired: Callable[[], User]) -> None:
    """Through a group in a group, as a group, and as nobody who has not lent the name."""
    number = user.email.partition("@")[0]
    inner = group(ready, f"inner-{number}", user.id)
    outer = group(ready, f"outer-{number}", inner)
    ready.workmail().associate_member_to_group(OrganizationId=ready.organization_id, GroupId=inner, MemberId=outer)
    put(ready, owner.id, outer, "SEND_ON_BEHALF")
    put(ready, inner, user.id, "SEND_AS")
    reader = hired()

    def send(sender: str, subject: str, more: str = "", authzid: str = "") -> None:
        host, port = ready.submissions
        with smtplib.SMTP_SSL(host, port, context=ready.tls(), timeout=30) as smtp:
            smtp.ehlo()
            smtp.user, smtp.password = user.email, user.password
            smtp.auth("PLAIN", lambda challenge=None: f"{authzid}\0{user.email}\0{user.password}")
            letter = f"From: {sender}\r\nSubject: {subject}\r\n{more}\r\ntext\r\n"
            smtp.sendmail(sender, [reader.email], letter)

    def got(subject: str) -> tuple[str | None, str | None, str | None]:
        with Reader(ready, reader) as mail:
            found = email.message_from_bytes(mail.await_letter(f"Subject: {subject}\r\n".encode()))
        return found["From"], found["Sender"], found["Return-Path"]

    send(owner.email, "behalf")
    assert got("behalf") == (owner.email, user.email, f"<{owner.email}>")
    send(inner, "as", f"Sender: {user.email}\r\n")
    assert got("as") == (inner, None, f"<{inner}>")
    put(ready, owner.id, user.id, "SEND_AS")
    send(owner.email, "both", authzid=owner.email)
    assert got("both") == (owner.email, None, f"<{owner.email}>")
    send(owner.email, "both-told", f"Sender: {user.email}\r\n")
    assert got("both-told") == (owner.email, user.email, f"<{owner.email}>")
    for stranger in (reader.email, outer):
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            send(stranger, "never")
        assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (550, b"5.7.1")
    ready.workmail().delete_mailbox_permissions(OrganizationId=ready.organization_id, EntityId=inner, GranteeId=user.id)
    with pytest.raises(smtplib.SMTPSenderRefused):
        send(inner, "no longer")


def test_what_boto3_says_of_it(ready: Ready, user: User, owner: User) -> None:
    workmail = ready.workmail()
    put(ready, owner.email, user.email, "SEND_AS", "FULL_ACCESS")
    found = workmail.list_mailbox_permissions(OrganizationId=ready.organization_id, EntityId=owner.email)["Permissions"]
    assert found == [{"GranteeId": user.id, "GranteeType": "USER", "PermissionValues": ["FULL_ACCESS", "SEND_AS"]}]
    staff = group(ready, f"staff-{user.email.partition('@')[0]}")
    with pytest.raises(ClientError) as refused:
        put(ready, owner.email, staff, "FULL_ACCESS")
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"
