"""Delivery: one copy each, whatever road leads to a mailbox; quotas; loops."""

import pytest

from postroom.directory import registration
from postroom.mailflow import handover, inbound, queue, recipients
from postroom.mailflow.envelopes import Envelope, Limits
from postroom.model import errors
from postroom.storage.engine import Store
from postroom.storage.queries import queue as rows
from tests.conftest import Clock, make_organization
from tests.mailflow.letters import LIMITS, Raw, letter, receive
from tests.people import People, inbox

BIG = letter("big") + b"x" * 600_000 + b"\r\n"


def subjects(store: Store, people: People, name: str) -> list[str]:
    return [raw.split(b"Subject: ")[1].split(b"\r\n")[0].decode() for raw in inbox(store, 1, people.ids[name])]


@pytest.mark.parametrize(
    "address", ["alice@example.test", "ALLY@Example.Test", "alice+any+thing@example.test", "alice@example.postroom.test"]
)
def test_addresses_that_lead_to_a_mailbox(store: Store, people: People, address: str) -> None:
    if "postroom" in address:
        with pytest.raises(errors.TryLater):
            receive(store, address)
    else:
        receive(store, address)
        assert subjects(store, people, "alice") == ["hello"]


def test_nested_groups_in_a_loop_give_one_copy_each(store: Store, people: People) -> None:
    receive(store, "staff@example.test")
    assert [len(subjects(store, people, name)) for name in ("alice", "bob", "carol")] == [1, 1, 1]


def test_directly_and_through_groups_is_still_one_copy(store: Store, people: People) -> None:
    receive(store, "alice@example.test", "ally@example.test", "staff@example.test", "everybody@example.test", "alice+x@example.test")
    assert [len(subjects(store, people, name)) for name in ("alice", "bob", "carol")] == [1, 1, 1]


def test_all_recipients_share_one_content(store: Store, people: People) -> None:
    receive(store, "alice@example.test", "bob@example.test")
    with store.transaction(1, write=False) as tx:
        assert tx.one("SELECT COUNT(*) FROM contents WHERE organization = :organization") == (1,)


def test_admit_knows_who_would_be_refused(store: Store, people: People) -> None:
    with store.transaction(1, write=False) as tx:
        recipients.admit(tx, "alice@example.test", 0)
        recipients.admit(tx, "carol@example.test", 1024 * 1024)
        recipients.admit(tx, "everybody@example.test", 50 * 1024 * 1024)
        with pytest.raises(errors.OverQuota):
            recipients.admit(tx, "carol@example.test", 1024 * 1024 + 1)
        for unknown in ("nobody@example.test", "empty@example.test", "x@far.test", "no address"):
            with pytest.raises(errors.EntityNotFound):
                recipients.admit(tx, unknown, 0)


def test_a_full_mailbox_refuses_when_nobody_else_takes_the_letter(store: Store, people: People) -> None:
    receive(store, "carol@example.test", raw=BIG)
    with pytest.raises(errors.OverQuota):
        receive(store, "carol@example.test", raw=BIG)
    assert subjects(store, people, "carol") == ["big"]


def test_a_full_mailbox_waits_in_the_queue_when_others_take_the_letter(store: Store, people: People) -> None:
    receive(store, "carol@example.test", raw=BIG)
    receive(store, "everybody@example.test", raw=BIG.replace(b"big", b"two"))
    assert subjects(store, people, "alice") == ["two"]
    with store.transaction(1, write=False) as tx:
        assert [row[2] for row in rows.page(tx, after=0, limit=10)] == ["carol@example.test"]


def test_a_full_mailbox_waits_in_the_queue_when_another_organization_takes_the_letter(store: Store, people: People) -> None:
    make_organization(store, number=2, alias="other")
    receive(store, "carol@example.test", raw=BIG)
    receive(store, "carol@example.test", "dave@other.test", raw=BIG)
    with store.transaction(1, write=False) as tx:
        assert [row[2] for row in rows.page(tx, after=0, limit=10)] == ["dave@other.test", "carol@example.test"]


def test_a_mailbox_full_to_the_octet_admits_no_letter_of_unknown_size(store: Store, people: People) -> None:
    raw = letter()
    receive(store, "carol@example.test", raw=raw + b"x" * (1024 * 1024 - len(raw)))
    with store.transaction(1, write=False) as tx, pytest.raises(errors.OverQuota):
        recipients.admit(tx, "carol@example.test", 0)


def test_a_letter_may_have_come_as_far_as_the_limit(store: Store, people: People) -> None:
    receive(store, "alice@example.test", raw=letter(more="Received: x\r\n" * LIMITS.hops))
    assert subjects(store, people, "alice") == ["hello"]


def test_a_recipient_who_went_between_rcpt_and_data_stops_the_whole_letter(store: Store, people: People) -> None:
    with store.transaction(1) as tx:
        registration.deregister(tx, people.ids["bob"])
    with pytest.raises(errors.TryLater):
        receive(store, "alice@example.test", "bob@example.test")
    assert subjects(store, people, "alice") == []


def test_other_organizations_get_theirs_through_the_queue_in_the_same_commit(store: Store, people: People) -> None:
    make_organization(store, number=2, alias="other")
    receive(store, "alice@example.test", "dave@other.test", "erin@other.test")
    with store.transaction(1, write=False) as tx:
        assert [row[2] for row in rows.page(tx, after=0, limit=10)] == ["dave@other.test", "erin@other.test"]
        assert rows.count(tx) == (1, 2)
        assert queue.next_due(tx) == 0


def test_hand_over_delivers_once_however_often_it_is_repeated(store: Store, people: People) -> None:
    envelope = Envelope("a@far.test", ("alice@example.test", "bob@example.test", "nobody@example.test"))
    prepared = inbound.prepare(store, 1, envelope, Raw(letter()), LIMITS)
    for _ in range(2):
        with store.transaction(1) as tx:
            outcomes = handover.hand_over(tx, 2, (7, 8, 9), envelope, prepared)
        assert outcomes[:2] == [None, None]
        assert isinstance(outcomes[2], errors.EntityNotFound)
    assert subjects(store, people, "alice") == subjects(store, people, "bob") == ["hello"]


def test_what_was_handed_over_is_remembered_as_long_as_it_may_be_repeated(store: Store, people: People, clock: Clock) -> None:
    envelope = Envelope("a@far.test", ("alice@example.test",))
    prepared = inbound.prepare(store, 1, envelope, Raw(letter()), LIMITS)

    def hand_over(number: int) -> None:
        with store.transaction(1) as tx:
            assert handover.hand_over(tx, 2, (number,), envelope, prepared) == [None]

    hand_over(7)
    clock.advance(queue.LIFETIME)
    hand_over(8)
    hand_over(7)
    assert subjects(store, people, "alice") == ["hello"] * 2
    clock.advance(2 * queue.LIFETIME + 1)
    hand_over(9)
    with store.transaction(1, write=False) as tx:
        assert tx.one("SELECT COUNT(*) FROM handovers WHERE organization = :organization") == (1,)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ("Received: x\r\n" * 51, errors.MailLoop),
        ("Delivered-To: alice@example.test\r\nDelivered-To: alice@example.test\r\n", errors.MailLoop),
        ("From: somebody@else.test\r\n", errors.MalformedMessage),
    ],
)
def test_what_is_not_taken(store: Store, people: People, more: str, error: type[errors.PostroomError]) -> None:
    with pytest.raises(error):
        receive(store, "alice@example.test", raw=letter(more=more))


def test_one_of_several_may_have_had_the_letter_before(store: Store, people: People) -> None:
    more = "Delivered-To: alice@example.test\r\nDelivered-To: alice@example.test\r\n"
    receive(store, "alice@example.test", "bob@example.test", raw=letter(more=more))
    assert subjects(store, people, "bob") == ["hello"]


def test_too_many_attachments(store: Store, people: People) -> None:
    part = "--b\r\nContent-Type: image/png\r\nContent-Disposition: attachment\r\n\r\nx\r\n"
    raw = letter(more='MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n') + (part * 4).encode() + b"--b--\r\n"
    envelope = Envelope("", ("alice@example.test",))
    inbound.prepare(store, 1, envelope, Raw(raw), Limits(attachments=4))
    with pytest.raises(errors.MessageTooLarge):
        inbound.prepare(store, 1, envelope, Raw(raw), Limits(attachments=3))
