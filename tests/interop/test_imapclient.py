"""imapclient, and the IMAP client of Python's own library."""

from __future__ import annotations

import imaplib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from tests.interop.letters import letters
from tests.program import Ready, User

LETTER = (
    b"From: Bob <bob@stranger.test>\r\nTo: alice@example.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Date: Mon, 16 Nov 2026 09:30:00 +0100\r\nMessage-ID: <one@stranger.test>\r\n\r\nA few words about trombones.\r\n"
)


def client(ready: Ready) -> IMAPClient:
    host, port = ready.imaps
    return IMAPClient(host, port, ssl=True, ssl_context=ready.tls(), timeout=30)


@pytest.fixture
def imap(ready: Ready, user: User) -> Iterator[IMAPClient]:
    with client(ready) as imap:
        imap.login(user.email, user.password)
        yield imap


def test_greeting_and_capabilities(ready, user):
    with client(ready) as imap:
        assert b"IMAP4REV1" in {word.upper() for word in imap.capabilities()}
        imap.login(user.email, user.password)
        offered = {word.decode().upper() for word in imap.capabilities()}
    wanted = "IMAP4REV1 LITERAL+ IDLE UIDPLUS MOVE NAMESPACE SPECIAL-USE CHILDREN ID ENABLE UNSELECT CONDSTORE QUOTA"
    assert set(wanted.split()) <= offered


def test_a_wrong_password_is_refused_and_the_right_one_served_after_it(ready, user):
    with client(ready) as imap:
        with pytest.raises(LoginError):
            imap.login(user.email, "wrong")
        imap.login(user.email, user.password)


def test_no_password_in_clear(ready, user):
    host, port = ready.imap
    with IMAPClient(host, port, ssl=False, timeout=30) as imap:
        assert b"LOGINDISABLED" in imap.capabilities()
        assert b"STARTTLS" in imap.capabilities()
        with pytest.raises(LoginError):
            imap.login(user.email, user.password)


def test_starttls(ready, user):
    host, port = ready.imap
    with IMAPClient(host, port, ssl=False, timeout=30) as imap:
        imap.starttls(ready.tls())
        assert b"LOGINDISABLED" not in imap.capabilities()
        imap.login(user.email, user.password)
        assert imap.select_folder("INBOX")[b"EXISTS"] == 0


def test_the_first_folders_are_those_of_workmail(imap):
    folders = {name: {flag.lower() for flag in flags} for flags, separator, name in imap.list_folders()}
    assert set(folders) == {"INBOX", "Sent Items", "Drafts", "Deleted Items", "Junk Email"}
    uses = {"Sent Items": b"\\sent", "Drafts": b"\\drafts", "Deleted Items": b"\\trash", "Junk Email": b"\\junk"}
    assert all(use in folders[name] for name, use in uses.items())
    assert imap.find_special_folder(b"\\Sent") == "Sent Items"


def test_folders_are_made_renamed_and_removed(imap):
    imap.create_folder("Projekte")
    imap.create_folder("Projekte/Übung & Spaß/世界")
    names = {name for _, _, name in imap.list_folders()}
    assert {"Projekte", "Projekte/Übung & Spaß", "Projekte/Übung & Spaß/世界"} <= names
    imap.subscribe_folder("Projekte")
    assert "Projekte" in {name for _, _, name in imap.list_sub_folders()}
    imap.unsubscribe_folder("Projekte")
    assert "Projekte" not in {name for _, _, name in imap.list_sub_folders()}
    imap.rename_folder("Projekte/Übung & Spaß", "Anderswo")
    names = {name for _, _, name in imap.list_folders()}
    assert {"Projekte", "Anderswo", "Anderswo/世界"} <= names
    assert "Projekte/Übung & Spaß/世界" not in names
    imap.delete_folder("Anderswo/世界")
    imap.delete_folder("Anderswo")
    assert not imap.folder_exists("Anderswo")
    with pytest.raises(IMAPClientError):
        imap.create_folder("inbox")
    with pytest.raises(IMAPClientError):
        imap.delete_folder("INBOX")


def test_append_fetch_and_search(imap):
    received = datetime(2026, 11, 17, 8, 0, 0, tzinfo=UTC)
    imap.append("INBOX", LETTER, flags=[b"\\Seen", b"$Forwarded"], msg_time=received)
    others = letters(22)
    for letter in others:
        imap.append("INBOX", letter)
    status = imap.select_folder("INBOX")
    assert status[b"EXISTS"] == 23
    assert status[b"UIDNEXT"] == 24
    found = imap.fetch(
        [1], ["UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY[]", "BODY[HEADER.FIELDS (SUBJECT)]"]
    )
    item = found[1]
    assert item[b"BODY[]"] == LETTER
    assert item[b"RFC822.SIZE"] == len(LETTER)
    assert {b"\\Seen", b"$Forwarded"} <= set(item[b"FLAGS"])
    assert item[b"INTERNALDATE"].astimezone(UTC) == received or item[b"INTERNALDATE"].astimezone() == received.astimezone()
    assert item[b"ENVELOPE"].subject == b"=?utf-8?q?Gr=C3=BC=C3=9Fe?="
    assert str(item[b"ENVELOPE"].from_[0]) == "Bob <bob@stranger.test>"
    assert item[b"BODYSTRUCTURE"][0].lower() == b"text"
    assert item[b"BODY[HEADER.FIELDS (SUBJECT)]"] == b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n"
    assert imap.search(["TEXT", "trombones"]) == [1]
    assert imap.search(["SUBJECT", "Grüße"], charset="UTF-8") == [1]
    assert imap.search(["SEEN"]) == [1]
    assert imap.search(["UNSEEN", "BODY", "gibberish-not-there"]) == []
    assert imap.search(["KEYWORD", "$Forwarded"]) == [1]
    assert imap.search(["OR", ["HEADER", "Message-ID", "one@stranger"], ["LARGER", "99999999"]]) == [1]
    assert imap.search(["NOT", "SEEN"]) == list(range(2, 24))
    bodies = imap.fetch(range(2, 24), ["BODY.PEEK[]", "BODYSTRUCTURE", "ENVELOPE"])
    assert [bodies[uid][b"BODY[]"] for uid in range(2, 24)] == others
    assert imap.search(["SEEN"]) == [1], "PEEK sets no flag"
    part = imap.fetch([5], ["BODY.PEEK[1]", "BODY.PEEK[1.MIME]"])
    assert part[5][b"BODY[1.MIME]"] == b"Content-Type: text/plain\r\n\r\n"


def test_partial_fetch(imap):
    imap.append("INBOX", LETTER)
    imap.select_folder("INBOX")
    assert imap.fetch([1], ["BODY.PEEK[]<10.20>"])[1][b"BODY[]<10>"] == LETTER[10:30]
    assert imap.fetch([1], ["BODY.PEEK[]<100000.20>"])[1][b"BODY[]<100000>"] == b""


def test_flags_copy_move_and_expunge(imap):
    for letter in letters(6):
        imap.append("INBOX", letter)
    imap.create_folder("Elsewhere")
    imap.select_folder("INBOX")
    assert set(imap.add_flags([1, 2], [b"\\Flagged"])) == {1, 2}
    assert set(imap.get_flags([1])[1]) - {b"\\Recent"} == {b"\\Flagged"}
    imap.remove_flags([1], [b"\\Flagged"])
    imap.set_flags([2], [b"\\Answered", b"custom"])
    assert set(imap.get_flags([2])[2]) - {b"\\Recent"} == {b"\\Answered", b"custom"}
    imap.copy([1, 2], "Elsewhere")
    imap.move([3, 4], "Elsewhere")
    assert imap.search() == [1, 2, 5, 6]
    imap.add_flags([1, 5], [b"\\Deleted"])
    imap.uid_expunge([5])
    assert imap.search() == [1, 2, 6]
    imap.expunge()
    assert imap.search() == [2, 6]
    assert imap.select_folder("Elsewhere", readonly=True)[b"EXISTS"] == 4
    with suppress(IMAPClientError):  # some refuse, some do nothing
        imap.add_flags([1], [b"\\Deleted"])
    assert imap.search(["DELETED"]) == []
    imap.unselect_folder()
    assert imap.folder_status("Elsewhere", ["MESSAGES", "UIDNEXT", "UNSEEN"]) == {b"MESSAGES": 4, b"UIDNEXT": 5, b"UNSEEN": 4}


def test_idle_hears_what_another_client_does(ready, user, imap):
    imap.select_folder("INBOX")
    imap.idle()
    with client(ready) as other:
        other.login(user.email, user.password)
        began = time.monotonic()
        other.append("INBOX", LETTER)
        heard = imap.idle_check(timeout=10)
        assert (1, b"EXISTS") in heard
        assert time.monotonic() - began < 2
        other.select_folder("INBOX")
        other.add_flags([1], [b"\\Flagged"])
        heard = []
        while not any(word[1] == b"FETCH" and b"\\Flagged" in str(word).encode() for word in heard):
            more = imap.idle_check(timeout=10)
            assert more, f"only heard {heard}"
            heard += more
        other.delete_messages([1])
        other.expunge()
        while (1, b"EXPUNGE") not in heard:
            more = imap.idle_check(timeout=10)
            assert more, f"only heard {heard}"
            heard += more
    text, _ = imap.idle_done()
    assert text
    assert imap.search() == []


def test_quota(imap):
    quotas = imap.get_quota("INBOX") if hasattr(imap, "get_quota") else imap.get_quota_root("INBOX")[1]
    (storage,) = [quota for quota in quotas if quota.resource.upper() in (b"STORAGE", "STORAGE")]
    before = storage.usage
    assert storage.limit > 0
    imap.append("INBOX", b"Subject: heavy\r\n\r\n" + b"x" * 76 * 4096)
    (storage,) = [quota for quota in imap.get_quota("INBOX") if quota.resource.upper() in (b"STORAGE", "STORAGE")]
    assert storage.usage - before == pytest.approx(304, abs=2), "in KiB"


def test_namespace_and_identification(imap):
    namespace = imap.namespace()
    assert namespace.personal[0] == ("", "/")
    assert imap.id_({"name": "imapclient"})
    assert imap.noop()


def test_conditional_store(imap):
    imap.append("INBOX", LETTER)
    status = imap.select_folder("INBOX")
    assert b"HIGHESTMODSEQ" in status
    modseq = imap.fetch([1], ["MODSEQ"])[1][b"MODSEQ"][0]
    imap.add_flags([1], [b"\\Flagged"])
    assert list(imap.fetch([1], ["FLAGS"], [f"CHANGEDSINCE {modseq}"])) == [1]
    after = imap.fetch([1], ["MODSEQ"])[1][b"MODSEQ"][0]
    assert after > modseq
    assert not imap.fetch([1], ["FLAGS"], [f"CHANGEDSINCE {after}"])


def test_two_sessions_see_one_mailbox(ready, user, imap):
    for letter in letters(3):
        imap.append("INBOX", letter)
    imap.select_folder("INBOX")
    with client(ready) as other:
        other.login(user.email, user.password)
        other.select_folder("INBOX")
        other.delete_messages([2])
        other.expunge()
    imap.noop()
    assert imap.search() == [1, 3]


def test_many_connections_of_one_person(ready, user):
    failures: list[BaseException] = []

    def visit() -> None:
        try:
            with client(ready) as imap:
                imap.login(user.email, user.password)
                imap.select_folder("INBOX")
                imap.append("INBOX", LETTER)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=visit) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    with client(ready) as imap:
        imap.login(user.email, user.password)
        imap.select_folder("INBOX")
        assert imap.search() == list(range(1, 11))


def test_imaplib(ready, user):
    host, port = ready.imaps
    imap = imaplib.IMAP4_SSL(host, port, ssl_context=ready.tls(), timeout=30)
    assert imap.authenticate("PLAIN", lambda _: f"\0{user.email}\0{user.password}".encode())[0] == "OK"
    assert imap.enable("CONDSTORE")[0] == "OK"
    assert imap.create('"A ""quoted"" thing"'.replace('""', '\\"'))[0] == "OK"
    assert imap.append("INBOX", "(\\Seen)", imaplib.Time2Internaldate(time.time()), LETTER)[0] == "OK"
    assert imap.select()[1] == [b"1"]
    assert imap.search(None, "ALL")[1] == [b"1"]
    assert imap.fetch("1", "(RFC822)")[1][0][1] == LETTER
    assert imap.fetch("1", "(FLAGS BODY[HEADER])")[1][0][1] == LETTER.split(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert imap.store("1", "+FLAGS", "\\Deleted")[0] == "OK"
    assert imap.copy("1", "Drafts")[0] == "OK"
    assert imap.expunge()[1] == [b"1"]
    assert imap.status("Drafts", "(MESSAGES)")[1] == [b"Drafts (MESSAGES 1)"]
    assert imap.getquotaroot("INBOX")[0] == "OK"
    assert imap.namespace()[0] == "OK"
    assert imap.check()[0] == "OK"
    assert imap.close()[0] == "OK"
    assert imap.logout()[0] == "BYE"


@pytest.mark.parametrize(
    "letter",
    [
        b"Subject: lf\n\nonly line feeds\nhere\n",
        b"Subject: mixed\r\n\r\none\ntwo\r\nthree\n",
        b"Subject: cr\r\n\r\none\rtwo\r\n",
        b"Subject: doubled\r\n\r\none\r\r\ntwo\r\n",
        b"\n\n\n",
        b"",
    ],
)
def test_odd_line_endings(imap, letter, monkeypatch):
    """A message with line endings of another system becomes CRLF and keeps its words."""
    monkeypatch.setattr(imaplib, "MapCRLF", re.compile(b"(?!)"))  # the library's own repair
    imap.append("INBOX", letter)
    imap.select_folder("INBOX", readonly=True)
    item = imap.fetch([1], ["BODY.PEEK[]", "RFC822.SIZE"])[1]
    stored = item[b"BODY[]"]
    assert item[b"RFC822.SIZE"] == len(stored)
    assert b"\n" not in stored.replace(b"\r\n", b"")
    assert stored.split() == letter.split()
