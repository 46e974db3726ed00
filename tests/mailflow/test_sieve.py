"""Scripts at work where letters are placed: filed, flagged, answered once, redirected, refused, and kept whatever goes wrong."""

import pytest

from postroom.mailbox import access, contents, folders, items
from postroom.mailflow import inbound
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.sieve import scripts
from postroom.mailflow.sieve.scripts import Limits
from postroom.model import errors
from postroom.storage.engine import Store
from postroom.storage.queries import queue as rows
from tests.mailflow.letters import STRANGER, receive
from tests.people import People


def activate(store: Store, people: People, name: str, text: str) -> None:
    scripts.check(text.encode(), Limits())
    with store.transaction(people.organization.number) as tx:
        mailbox = access.open_for_upkeep(tx, people.ids[name])
        scripts.put(tx, mailbox, "rules", text.encode(), Limits())
        scripts.activate(tx, mailbox, "rules")


def places(store: Store, people: People, name: str) -> dict[str, list[int]]:
    with store.transaction(1, write=False) as tx:
        mailbox = access.open_for_delivery(tx, people.ids[name])
        found = {folder.path: items.rows(tx, folder.id, [(1, 2**32 - 1)], ("flags",)) for folder in folders.tree(tx, mailbox)}
    return {path: [flags for (flags,) in flagged] for path, flagged in found.items() if flagged}


def queued(store: Store) -> list[tuple[str, str]]:
    with store.transaction(1, write=False) as tx:
        return [(row[6], row[2]) for row in rows.page(tx, after=0, limit=100)]


def test_filed_and_flagged(store: Store, people: People) -> None:
    activate(store, people, "alice", 'require ["fileinto", "mailbox", "imap4flags"]; fileinto :create :flags "\\\\Seen" "a/b"; keep;')
    receive(store, "alice@example.test")
    assert places(store, people, "alice") == {"a/b": [1], "Inbox": [0]}


def test_a_missing_folder_is_the_inbox_and_a_failure_keeps(store: Store, people: People) -> None:
    activate(store, people, "alice", 'require "fileinto"; fileinto "none";')
    activate(store, people, "bob", 'require "variables"; set "x" "no address"; discard; redirect "${x}";')
    receive(store, "alice@example.test", "bob@example.test")
    assert places(store, people, "alice") == places(store, people, "bob") == {"Inbox": [0]}


def test_redirected_is_queued_and_not_kept(store: Store, people: People) -> None:
    activate(store, people, "alice", 'redirect "x@far.test";')
    receive(store, "alice@example.test")
    assert [recipient for _, recipient in queued(store)] == ["x@far.test"]
    assert places(store, people, "alice") == {}


def test_refused_in_the_answer_when_alone(store: Store, people: People) -> None:
    activate(store, people, "alice", 'require "reject"; reject "not wanted";')
    with pytest.raises(errors.LetterRefused, match="not wanted"):
        receive(store, "alice@example.test")


def test_the_active_script_is_not_deleted(store: Store, people: People) -> None:
    activate(store, people, "alice", "keep;")
    with store.transaction(1) as tx:
        mailbox = access.open_for_upkeep(tx, people.ids["alice"])
        with pytest.raises(errors.EntityState):
            scripts.delete(tx, mailbox, "rules")


def test_to_require_seconds_is_to_require_vacation(store: Store, people: People) -> None:
    activate(store, people, "alice", 'require "vacation-seconds"; vacation :seconds 60 "away";')
    receive(store, "alice@example.test", raw=b"From: bob@far.test\r\nTo: alice@example.test\r\n\r\nx\r\n", sender="bob@far.test")
    assert queued(store) == [("", "bob@far.test")]


def test_answered_once(store: Store, people: People) -> None:
    activate(store, people, "alice", 'require "vacation"; vacation :addresses "alice@example.test" "away";')
    raw = b"From: bob@far.test\r\nTo: alice@example.test\r\nSubject: %d\r\n\r\nx\r\n"
    for number in range(2):
        envelope = Envelope("bob@far.test", ("alice@example.test",))
        prepared = contents.prepare(store, 1, raw % number)
        with store.transaction(1) as tx:
            inbound.deliver(tx, envelope, prepared, STRANGER)
    assert queued(store) == [("", "bob@far.test")]
    assert places(store, people, "alice") == {"Inbox": [0, 0]}
