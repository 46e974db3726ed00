"""Submission: under which names, to how many, and what is completed on the way."""

import email
import email.policy

import pytest

from postroom.directory import domains, registration, users
from postroom.mailflow import submission
from postroom.mailflow.allowance import Allowance
from postroom.mailflow.outgoing import Terms
from postroom.model import errors
from postroom.storage.engine import Store
from postroom.storage.queries import queue as rows
from tests.conftest import Clock
from tests.mailflow.letters import LIMITS, letter, send
from tests.people import People, inbox


def queued(store: Store) -> list[str]:
    with store.transaction(1, write=False) as tx:
        return [row[2] for row in rows.page(tx, after=0, limit=100)]


def test_to_colleagues_at_once_and_to_others_by_the_queue(store: Store, people: People) -> None:
    send(store, people.actor("alice"), "bob@example.test", "far@far.test", "farther@far.test", "FAR@far.test")
    assert len(inbox(store, 1, people.ids["bob"])) == 1
    assert queued(store) == ["far@far.test", "farther@far.test", "FAR@far.test"]


@pytest.mark.parametrize("sender", ["bob@example.test", "alice+tag@example.test", "alice@far.test", "staff@example.test", "nonsense"])
def test_the_envelope_bears_ones_own_address(store: Store, people: People, sender: str) -> None:
    with pytest.raises(errors.SenderNotAllowed):
        send(store, people.actor("alice"), "bob@example.test", sender=sender, raw=letter(sender="alice@example.test"))


@pytest.mark.parametrize(
    "header",
    [
        "From: bob@example.test\r\n",
        "From: alice@example.test, bob@example.test\r\n",
        "From: A Group: bob@example.test, alice@example.test;\r\n",
        'From: "alice@example.test" <bob@example.test>\r\n',
        "From: <bob@example.test> <alice@example.test>\r\n",
        "From: B <bob@example.test><alice@example.test>\r\n",
        "From: alice@example.test\r\nSender: bob@example.test\r\n",
        "From: alice@example.test\r\nResent-From: bob@example.test\r\n",
        "From: alice+tag@example.test\r\n",
    ],
)
def test_the_header_bears_ones_own_addresses(store: Store, people: People, header: str) -> None:
    with pytest.raises(errors.SenderNotAllowed):
        send(store, people.actor("alice"), "bob@example.test", raw=f"{header}Subject: x\r\n\r\n".encode())
    assert inbox(store, 1, people.ids["bob"]) == []


@pytest.mark.parametrize(
    "header",
    [
        "",
        "From: alice@example.test\r\nFrom: alice@example.test\r\n",
        "From: nobody:;\r\n",
        f"From: {'alice@example.test, ' * 5_000}bob@example.test\r\n",
        f"From: {'x, ' * 4_999}alice@example.test, bob@example.test\r\n",
        "From: alice@example.test\r\nSender: a\r\nSender: b\r\n",
    ],
)
def test_the_header_names_one_author_line(store: Store, people: People, header: str) -> None:
    with pytest.raises(errors.MalformedMessage):
        send(store, people.actor("alice"), "bob@example.test", raw=f"{header}Subject: x\r\n\r\n".encode())


def test_an_alias_is_ones_own(store: Store, people: People) -> None:
    send(store, people.actor("alice"), "bob@example.test", sender="Ally@example.test", raw=letter(sender="ALLY@Example.test"))
    assert len(inbox(store, 1, people.ids["bob"])) == 1


@pytest.mark.parametrize("unknown", ["nobody@example.test", "remote@example.test"])
def test_an_unknown_colleague_stops_the_letter(store: Store, people: People, unknown: str) -> None:
    with store.transaction(1) as tx:
        registration.register(tx, users.create(tx, name="remote", display_name="", role="REMOTE_USER").id, "remote@example.test")
    with pytest.raises(errors.EntityNotFound):
        send(store, people.actor("alice"), "bob@example.test", unknown)
    assert inbox(store, 1, people.ids["bob"]) == []


def test_a_full_colleague_waits_in_the_queue_when_others_get_the_letter(store: Store, people: People) -> None:
    alice = people.actor("alice")
    raw = letter(sender=alice.email) + b"x" * 600_000 + b"\r\n"
    send(store, alice, "carol@example.test", raw=raw)
    with pytest.raises(errors.OverQuota):
        send(store, alice, "carol@example.test", raw=raw)
    assert queued(store) == []
    send(store, alice, "carol@example.test", "far@far.test", raw=raw)
    assert queued(store) == ["far@far.test", "carol@example.test"]


def test_what_is_not_sent(store: Store, people: People) -> None:
    alice = people.actor("alice")
    with pytest.raises(errors.MailLoop):
        send(store, alice, "bob@example.test", raw=letter(sender=alice.email, more="Received: x\r\n" * (LIMITS.hops + 1)))
    part = "--b\r\nContent-Type: image/png\r\nContent-Disposition: attachment\r\n\r\nx\r\n"
    more = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n'
    raw = letter(sender=alice.email, more=more) + (part * (LIMITS.attachments + 1)).encode() + b"--b--\r\n"
    with pytest.raises(errors.MessageTooLarge):
        send(store, alice, "bob@example.test", raw=raw)


def test_a_domain_that_is_not_verified_is_still_elsewhere(store: Store, people: People) -> None:
    with store.transaction(1) as tx:
        domains.register(tx, "new.test")
    send(store, people.actor("alice"), "x@new.test")
    assert queued(store) == ["x@new.test"]


def test_bcc_goes_and_what_is_missing_comes(store: Store, people: People) -> None:
    raw = b"Return-Path: <alice@example.test>\r\nFrom: alice@example.test\r\nbcc: secret@far.test,\r\n other@far.test\r\nResent-Bcc: secret@far.test\r\nTo: bob@example.test\r\n\r\nBcc: not a header\r\n"
    send(store, people.actor("alice"), "bob@example.test", raw=raw)
    (stored,) = inbox(store, 1, people.ids["bob"])
    message = email.message_from_bytes(stored, policy=email.policy.default)
    assert message["Bcc"] is None
    assert message["Resent-Bcc"] is None
    assert message["Message-ID"].endswith("@example.test>")
    assert message["Date"].datetime.timestamp() == store.now()
    assert message.get_payload() == "Bcc: not a header\r\n"
    assert stored.startswith(b"Return-Path: <alice@example.test>\r\n")


def test_what_is_there_stays_to_the_octet(store: Store, people: People) -> None:
    raw = letter(
        sender="alice@example.test",
        more="Message-ID: <own@example.test>\r\ndate: Thu, 1 Jan 2026 00:00:00 +0000\r\nX-Odd:  two  spaces\r\n",
    )
    send(store, people.actor("alice"), "bob@example.test", raw=raw)
    assert inbox(store, 1, people.ids["bob"]) == [raw]


def test_a_header_without_a_body_is_completed_too() -> None:
    assert submission.complete(b"From: a@b.test\r\n", domain="b.test", now=0.0).count(b"\r\n") == 3
    unfinished = submission.complete(b"From: a@b.test", domain="b.test", now=0.0)
    assert unfinished.startswith(b"From: a@b.test\r\nMessage-ID: <")


def test_of_return_paths_only_our_own_stays() -> None:
    raw = b"Return-Path: <a@b.test>\r\nFrom: a@b.test\r\nReturn-Path: <x@far.test>\r\nMessage-ID: <1@b>\r\nDate: x\r\n\r\n"
    assert submission.complete(raw, domain="b.test", now=0.0) == raw.replace(b"Return-Path: <x@far.test>\r\n", b"")


def test_the_day_has_so_many_recipients(store: Store, people: People, clock: Clock) -> None:
    alice, few = people.actor("alice"), Terms(Allowance(external=3))
    send(store, alice, "a@far.test", "b@far.test", "bob@example.test", terms=few)
    with pytest.raises(errors.LimitExceeded):
        send(store, alice, "c@far.test", "d@far.test", terms=few)
    send(store, alice, "c@far.test", terms=few)
    send(store, alice, "bob@example.test", terms=few)
    with pytest.raises(errors.LimitExceeded):
        send(store, alice, "d@far.test", terms=few)
    send(store, people.actor("bob"), "d@far.test", terms=few)
    clock.advance(86_400)
    send(store, alice, "e@far.test", terms=few)
    assert queued(store) == [f"{name}@far.test" for name in "abcde"[:3]] + ["d@far.test", "e@far.test"]


def test_from_the_test_domain_every_recipient_counts(store: Store, people: People) -> None:
    from postroom.directory import addresses

    with store.transaction(1) as tx:
        addresses.add_alias(tx, people.ids["alice"], "alice@example.postroom.test")
    alice, few = people.actor("alice"), Terms(Allowance(test_domain=2))
    raw = letter(sender="alice@example.postroom.test")
    for _ in range(2):
        send(store, alice, "bob@example.test", sender="alice@example.postroom.test", raw=raw, terms=few)
    with pytest.raises(errors.LimitExceeded):
        send(store, alice, "bob@example.test", sender="alice@example.postroom.test", raw=raw, terms=few)


def test_without_a_reverse_path_the_header_still_counts(store: Store, people: People) -> None:
    send(store, people.actor("alice"), "bob@example.test", sender="", raw=letter(sender="alice@example.test"))
    with pytest.raises(errors.SenderNotAllowed):
        send(store, people.actor("alice"), "bob@example.test", sender="", raw=letter(sender="bob@example.test"))


@pytest.mark.parametrize(
    ("header", "require_tls", "destination"),
    [
        ("TLS-Required: No\r\n", False, "anyhow:far.test"),
        ("tls-required:\r\n no \r\n", False, "anyhow:far.test"),
        ("TLS-Required: No\r\n", True, "far.test"),
        ("TLS-Required: No\r\nTLS-Required: No\r\n", False, "far.test"),
        ("TLS-Required: Yes\r\n", False, "far.test"),
        ("", False, "far.test"),
    ],
)
def test_who_would_rather_have_it_arrive_may_say_so(
    store: Store, people: People, header: str, require_tls: bool, destination: str
) -> None:
    raw = f"From: alice@example.test\r\n{header}\r\nx\r\n".encode()
    send(store, people.actor("alice"), "x@far.test", raw=raw, require_tls=require_tls)
    with store.transaction(1, write=False) as tx:
        assert tx.all("SELECT destination FROM queue_recipients WHERE organization = :organization") == [(destination,)]
