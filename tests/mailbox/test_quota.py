"""Quotas as people meet them: exact sizes, a notice at 90 %, and each protocol's own words when the mailbox is full."""

import email
import smtplib
import time
from collections.abc import Iterator

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from postroom.model.organizations import Organization
from postroom.storage.engine import Store
from tests.conftest import Clock
from tests.servers import Serving, letter, seen_size, serving, subjects

NOTICE = "Your mailbox is almost full"
MB = 1024 * 1024


@pytest.fixture
def clock() -> Clock:
    """About the real time, as signatures need it."""
    return Clock(float(int(time.time())))


@pytest.fixture
def server(store: Store, organization: Organization) -> Iterator[Serving]:
    with serving(store, organization) as opened:
        yield opened


def notices(client: IMAPClient) -> int:
    return subjects(client, "INBOX").count(NOTICE)


@pytest.mark.effect("GetMailboxDetails")
def test_the_size_is_that_of_all_messages(server: Serving) -> None:
    server.hire("alice", 2)
    alice = server.imap("alice")
    alice.create_folder("Other")
    for number in range(4):
        server.send("alice", letter(f"letter {number}", 1000 * number))
        alice.append("Other", letter(f"letter {number}", 300_000 * (number % 2)), ["\\Seen"])
    assert server.used("alice") == seen_size(alice) > 600_000
    alice.select_folder("INBOX")
    alice.copy([1, 2, 3], "Other")
    alice.move([3, 4], "Junk Email")
    alice.delete_messages([1])
    assert server.used("alice") == seen_size(alice)
    alice.select_folder("INBOX")
    alice.expunge()
    alice.rename_folder("INBOX", "Was")
    assert server.used("alice") == seen_size(alice)
    alice.delete_folder("Other")
    assert server.used("alice") == seen_size(alice)
    (told,) = alice.get_quota()
    assert (told.resource, told.usage, told.limit) == ("STORAGE", -(-server.used("alice") // 1024), 2048)


@pytest.mark.effect("UpdateMailboxQuota")
def test_a_full_mailbox_is_answered_in_each_protocols_words(server: Serving) -> None:
    server.hire("alice", 1)
    alice = server.imap("alice")
    alice.append("Drafts", letter("large", 700_000))
    with smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=30) as smtp:
        smtp.ehlo()
        smtp.mail("bob@elsewhere.test", ["SIZE=400000"])
        code, text = smtp.rcpt(server.address("alice"))
        assert (code, text[:6]) == (552, b"5.2.2 ")
        smtp.rset()
        smtp.mail("bob@elsewhere.test")
        assert smtp.rcpt(server.address("alice"))[0] == 250
        code, text = smtp.data(letter("too much", 400_000))
        assert (code, text[:6]) == (552, b"5.2.2 ")
    with pytest.raises(IMAPClientError, match=r"\[OVERQUOTA\]"):
        alice.append("Drafts", letter("too much", 400_000))
    alice.select_folder("Drafts")
    with pytest.raises(IMAPClientError, match=r"\[OVERQUOTA\]"):
        alice.copy([1], "INBOX")
    assert (subjects(alice, "Drafts"), subjects(alice, "INBOX")) == (["large"], [])
    alice.select_folder("Drafts")
    alice.move([1], "INBOX")
    server.call("update_mailbox_quota", UserId="alice", MailboxQuota=2)
    server.send("alice", letter("fits now", 400_000))
    assert subjects(alice, "INBOX") == ["large", "fits now"]


def test_the_owner_is_told_once_at_ninety_percent_and_again_after_there_was_room(server: Serving) -> None:
    server.hire("alice", 1)
    alice, watching = server.imap("alice"), server.imap("alice")
    watching.select_folder("INBOX")
    server.send("alice", letter("first", 900_000))
    assert notices(alice) == 0
    watching.noop()
    watching.idle()
    server.send("alice", letter("second", 60_000))
    told = watching.idle_check(timeout=20)
    while (3, b"EXISTS") not in told:
        told += watching.idle_check(timeout=20)
    watching.idle_done()
    assert subjects(alice, "INBOX") == ["first", "second", NOTICE]
    assert server.used("alice") == seen_size(alice)
    server.send("alice", letter("third", 20_000))
    alice.select_folder("INBOX")
    alice.move([1], "Drafts")
    alice.move([2], "Drafts")
    server.send("alice", letter("fourth"))
    assert notices(alice) == 1
    alice.select_folder("Drafts")
    alice.delete_messages([2])
    alice.expunge()
    server.send("alice", letter("fifth", 30_000))  # below 90 % for a moment is not enough
    assert notices(alice) == 1
    alice.select_folder("Drafts")
    alice.delete_messages([1])
    alice.expunge()
    assert notices(alice) == 1
    alice.append("Drafts", letter("sixth", 900_000))
    assert notices(alice) == 2


def test_the_notice_comes_from_the_postmaster_and_nobody_answers_it(server: Serving) -> None:
    server.hire("alice", 1)
    alice = server.imap("alice")
    alice.append("Drafts", letter("large", 500_000))
    alice.select_folder("Drafts")
    assert notices(alice) == 0
    alice.select_folder("Drafts")
    alice.append("Drafts", letter("larger", 460_000))
    alice.select_folder("INBOX")
    (uid,) = alice.search(["UNSEEN", "TEXT", "Deleted Items"])
    message = email.message_from_bytes(alice.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"])
    assert message["From"] == "Postmaster <postmaster@example.test>"
    assert (message["To"], message["Return-Path"], message["Auto-Submitted"]) == ("<alice@example.test>", "<>", "auto-generated")
    assert "of the 1 MB" in message.get_payload()
    assert message.defects == []


def test_a_copy_that_fills_the_mailbox_tells_and_so_does_a_smaller_quota(server: Serving) -> None:
    server.hire("alice", 1)
    server.hire("bob", 3)
    alice, bob = server.imap("alice"), server.imap("bob")
    alice.append("INBOX", letter("half", 480_000))
    alice.select_folder("INBOX")
    alice.copy([1], "INBOX")
    assert subjects(alice, "INBOX") == ["half", "half", NOTICE]
    bob.append("Drafts", letter("much", 1_900_000))
    server.call("update_mailbox_quota", UserId="bob", MailboxQuota=2)
    server.call("update_mailbox_quota", UserId="bob", MailboxQuota=2)
    assert subjects(bob, "INBOX") == [NOTICE]
    server.call("update_mailbox_quota", UserId="bob", MailboxQuota=1)
    assert server.used("bob") == seen_size(bob) > MB
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        server.send("bob", letter("more"))
    assert refused.value.recipients[server.address("bob")][0] == 552
    server.call("update_mailbox_quota", UserId="bob", MailboxQuota=3)
    server.call("update_mailbox_quota", UserId="bob", MailboxQuota=2)
    assert notices(bob) == 2
    assert notices(alice) == 1


def test_a_letter_that_leaves_no_room_still_brings_the_notice(server: Serving) -> None:
    server.hire("alice", 1)
    alice = server.imap("alice")
    alice.append("Drafts", letter("first", 500_000))
    rest = MB - server.used("alice")
    raw = letter("rest", rest)
    alice.append("Drafts", raw[: rest - 2] + b"x" * (rest - 2 - len(raw)) + b"\r\n")
    assert notices(alice) == 1
    assert server.used("alice") == seen_size(alice) > MB
