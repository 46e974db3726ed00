"""The server as imapclient and imaplib see it."""

import asyncio
import imaplib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from tests.protocols.imap.conftest import ALICE, PASSWORD, Running

LETTER = (
    b"From: Ann <ann@far.test>\r\nTo: alice@example.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Date: Mon, 7 Feb 1994 21:52:25 +0000\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGuten Tag.\r\n"
)


@contextmanager
def signed_in(server: Running) -> Iterator[IMAPClient]:
    """A client of Alice's."""
    with IMAPClient(server.host, server.port, ssl=False, timeout=20) as client:
        client.login(ALICE, PASSWORD)
        yield client


def read_and_arrange(server: Running) -> None:
    with signed_in(server) as client:
        assert {b"UIDPLUS", b"MOVE", b"CONDSTORE", b"IDLE"} <= set(client.capabilities())
        assert client.namespace().personal == (("", "/"),)
        uses = {flag for flags, _, _ in client.list_folders() for flag in flags}
        assert {b"\\Sent", b"\\Drafts", b"\\Trash", b"\\Junk"} <= uses
        assert client.find_special_folder(b"\\Sent") == "Sent Items"
        client.create_folder("Entwürfe & mehr")
        assert client.folder_exists("Entwürfe & mehr")
        sent = datetime(2020, 5, 1, 12, 30, tzinfo=UTC)
        client.append("INBOX", LETTER, [b"\\Flagged", b"$Important"], sent)
        assert client.select_folder("INBOX")[b"EXISTS"] == 1
        found = client.fetch([1], ["FLAGS", "ENVELOPE", "INTERNALDATE", "BODYSTRUCTURE", "BODY[]"])[1]
        assert found[b"BODY[]"] == LETTER
        assert found[b"ENVELOPE"].from_[0].mailbox == b"ann"
        assert found[b"INTERNALDATE"] == sent.astimezone().replace(tzinfo=None)
        assert {b"\\Flagged", b"$Important", b"\\Seen"} <= set(found[b"FLAGS"])
        assert found[b"BODYSTRUCTURE"][0].lower() == b"text"
        assert client.search(["SUBJECT", "Grüße"], charset="UTF-8") == [1]
        assert client.search("UNSEEN") == []
        client.copy([1], "Entwürfe & mehr")
        client.move([1], "Deleted Items")
        assert client.search("ALL") == []
        client.select_folder("Entwürfe & mehr")
        client.delete_messages([1])
        client.expunge([1])
        assert client.folder_status("Entwürfe & mehr", ["MESSAGES"]) == {b"MESSAGES": 0}
        client.unselect_folder()
        client.rename_folder("Entwürfe & mehr", "Briefe")
        client.delete_folder("Briefe")
        assert client.get_quota_root("INBOX")[1][0].resource == "STORAGE"


def wait_for_mail(server: Running) -> None:
    with signed_in(server) as watcher, signed_in(server) as other:
        watcher.select_folder("INBOX")
        watcher.idle()
        other.append("INBOX", LETTER)
        assert (1, b"EXISTS") in watcher.idle_check(timeout=20)
        watcher.idle_done()
        assert watcher.search("RECENT") == [1]


def be_refused(server: Running) -> None:
    with IMAPClient(server.host, server.port, ssl=False, timeout=20) as client:
        with pytest.raises(LoginError, match="AUTHENTICATIONFAILED"):
            client.login(ALICE, "wrong")
        client.plain_login(ALICE, PASSWORD)
        with pytest.raises(IMAPClientError, match="NONEXISTENT"):
            client.select_folder("nowhere")


def use_imaplib(server: Running) -> None:
    with imaplib.IMAP4(server.host, server.port, timeout=20) as client:
        client.login(ALICE, PASSWORD)
        assert client.append("INBOX", "(\\Seen)", imaplib.Time2Internaldate(0), LETTER)[0] == "OK"
        assert client.select()[1] == [b"1"]
        assert client.fetch("1", "(RFC822)")[1][0][1] == LETTER
        assert client.store("1", "+FLAGS", "\\Deleted")[1] == [b"1 (FLAGS (\\Seen \\Deleted \\Recent))"]
        assert client.expunge()[1] == [b"1"]


async def test_reading_and_arranging(server: Running) -> None:
    await asyncio.to_thread(read_and_arrange, server)


async def test_waiting_for_mail(server: Running) -> None:
    await asyncio.to_thread(wait_for_mail, server)


async def test_being_refused(server: Running) -> None:
    await asyncio.to_thread(be_refused, server)


async def test_imaplib(server: Running) -> None:
    await asyncio.to_thread(use_imaplib, server)
