"""What stays and what goes when somebody leaves: boto3 decides, clients feel it, and the nightly work finishes it days later."""

import os
import smtplib
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from postroom.directory import mailboxes, organizations
from postroom.jobs import sweep
from postroom.storage.engine import REGISTRY
from postroom.storage.queries import organizations as organization_rows
from tests.conftest import Clock
from tests.servers import Serving, letter, subjects

from .conftest import DAY


@pytest.fixture
def nights(server: Serving, clock: Clock, tmp_path: Path) -> Callable[[float], list[int]]:
    """Let the sweeps of a night run so many days from now; gives (mailboxes, contents, files) that went."""

    def run(days: float) -> list[int]:
        clock.advance(days * DAY)
        for path in blob_files(tmp_path, server.scope):
            os.utime(path, (path.stat().st_mtime - DAY, path.stat().st_mtime - DAY))
        done = [job(server.store, server.scope) for job in (sweep.purge_mailboxes, sweep.sweep_contents, sweep.sweep_files)]
        clock.advance(-days * DAY)
        return done

    return run


def blob_files(folder: Path, scope: int) -> list[Path]:
    return [path for path in (folder / "data" / "blobs" / str(scope)).rglob("*") if path.is_file()]


def all_there_is(client: IMAPClient) -> dict[str, object]:
    """Read folders, UIDVALIDITY, UIDs, flags, dates and messages."""
    found: dict[str, object] = {}
    for _, _, folder in client.list_folders():
        validity = client.select_folder(folder, readonly=True)[b"UIDVALIDITY"]
        uids = client.search()
        found[folder] = (validity, client.fetch(uids, ["FLAGS", "INTERNALDATE", "BODY.PEEK[]"]) if uids else {})
    return found


def fill(server: Serving, name: str) -> IMAPClient:
    """Give somebody a small letter in a row, a large one in a file, flags, a keyword and a folder."""
    client = server.imap(name)
    client.append("INBOX", letter("small"))
    client.append("INBOX", letter("large", 400_000))
    client.create_folder("Projects/Secret")
    client.append("Projects/Secret", letter("own"), ["\\Flagged", "$Important"])
    client.select_folder("INBOX")
    client.add_flags([2], ["\\Answered", "\\Seen"])
    return client


def hangs_up(client: IMAPClient) -> bool:
    """Wait in IDLE until the server says goodbye."""
    while told := client.idle_check(timeout=20):
        if any(words[0] == b"BYE" for words in told):
            return True
    return False


@pytest.mark.effect("DeregisterFromWorkMail", "RegisterToWorkMail")
def test_who_comes_back_within_thirty_days_finds_everything(server: Serving, nights: Callable[[float], list[int]]) -> None:
    alice = server.hire("alice")
    client = fill(server, "alice")
    server.send("alice", letter("from outside"))
    before = all_there_is(client)
    client.select_folder("INBOX")
    client.idle()
    server.call("deregister_from_work_mail", EntityId=alice)
    assert hangs_up(client)
    with pytest.raises(LoginError):
        server.imap("alice")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        server.send("alice", letter("nobody there"))
    assert refused.value.recipients[server.address("alice")][0] == 550
    assert server.fails("get_mailbox_details", UserId=alice) == "EntityNotFoundException"
    assert nights(29.9) == [0, 0, 0]
    server.call("register_to_work_mail", EntityId=alice, Email=server.address("alice"))
    again = server.imap("alice")
    assert all_there_is(again) == before
    server.send("alice", letter("welcome back"))
    assert subjects(again, "INBOX") == ["small", "large", "from outside", "welcome back"]
    assert nights(31) == [0, 0, 0]


@pytest.mark.effect("DeleteUser")
def test_after_thirty_days_mailbox_and_blobs_are_gone(
    server: Serving, nights: Callable[[float], list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "ITEMS_AT_ONCE", 2)
    alice, bob, carol = (server.hire(name) for name in ("alice", "bob", "carol"))
    for name in ("alice", "bob"):
        client = fill(server, name)
        client.append("Drafts", letter(f"of {name} alone", 300_000))
        client.append("Drafts", letter(f"small of {name} alone"))
    server.imap("carol").append("INBOX", letter("large", 400_000))
    assert len(blob_files(tmp_path, server.scope)) >= 3
    server.call("deregister_from_work_mail", EntityId=alice)
    server.call("deregister_from_work_mail", EntityId=bob)
    server.call("delete_user", UserId=bob)
    assert nights(29.9)[:2] == [0, 0]
    assert nights(30.1)[:2] == [2, 6]  # small and own are the same, each had two more, and carol has the large one, too
    assert len(blob_files(tmp_path, server.scope)) == 1
    assert nights(60) == [0, 0, 0]
    assert subjects(server.imap("carol"), "INBOX") == ["large"]
    server.call("register_to_work_mail", EntityId=alice, Email=server.address("alice"))
    fresh = server.imap("alice")
    assert subjects(fresh, "INBOX") == []
    assert not fresh.folder_exists("Projects")
    with server.store.transaction(server.scope, write=False) as tx:
        for table in ("items", "tombstones", "keywords", "folder_tombstones", "absent_subscriptions", "change_marks", "unindexed"):
            assert len(tx.all(f"SELECT * FROM {table} WHERE organization = :organization")) <= (table in ("items", "unindexed")), table
        assert len(tx.all("SELECT id FROM mailboxes WHERE organization = :organization")) == 2
    assert carol


@pytest.mark.effect("CreateUser")
def test_who_was_made_anew_gets_nothing_of_what_was_before(server: Serving, nights: Callable[[float], list[int]]) -> None:
    before = server.hire("alice")
    old = all_there_is(fill(server, "alice"))
    server.call("deregister_from_work_mail", EntityId=before)
    server.call("delete_user", UserId=before)
    assert server.hire("alice") != before
    client = server.imap("alice")
    new = all_there_is(client)
    assert set(new) == set(old) - {"Projects", "Projects/Secret"}
    assert new["INBOX"][1] == {}
    assert {new[folder][0] for folder in new}.isdisjoint(validity for validity, _ in old.values())
    server.send("alice", letter("hers"))
    assert nights(31)[0] == 1
    assert subjects(client, "INBOX") == ["hers"]


def test_nobody_is_given_half_of_a_mailbox_back(server: Serving, clock: Clock) -> None:
    alice = server.hire("alice")
    client = server.imap("alice")
    for number in range(5):
        client.append("INBOX", letter(f"letter {number}"))
    server.call("deregister_from_work_mail", EntityId=alice)
    clock.advance(31 * DAY)
    with server.store.transaction(server.scope) as tx:
        assert mailboxes.purge(tx, parked_for=sweep.PARKED_SECONDS, limit=2) == 0
    clock.advance(-31 * DAY)
    server.call("register_to_work_mail", EntityId=alice, Email=server.address("alice"))
    again = server.imap("alice")
    assert subjects(again, "INBOX") == []
    again.append("INBOX", letter("hers"))
    clock.advance(31 * DAY)
    assert sweep.purge_mailboxes(server.store, server.scope) == 1
    clock.advance(-31 * DAY)
    assert subjects(again, "INBOX") == ["hers"]


@pytest.mark.effect("DeleteOrganization", "DescribeOrganization", "ListOrganizations")
def test_a_deleted_organization_serves_nobody_and_is_still_described(server: Serving, tmp_path: Path) -> None:
    alice = server.hire("alice")
    client = fill(server, "alice")
    assert server.fails("delete_organization", DeleteDirectory=True) == "OrganizationStateException"
    assert subjects(client, "INBOX") == ["small", "large"]
    client.select_folder("INBOX")
    client.idle()
    deleted = server.call("delete_organization", DeleteDirectory=True, ForceDelete=True)
    assert deleted == {"OrganizationId": server.organization.id, "State": "Deleted"}
    assert hangs_up(client)
    with pytest.raises(LoginError):
        server.imap("alice")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        server.send("alice", letter("nobody there"))
    assert server.call("describe_organization")["State"] == "Deleted"
    listed = server.workmail.list_organizations()["OrganizationSummaries"]
    assert [(one["OrganizationId"], one["State"]) for one in listed] == [(server.organization.id, "Deleted")]
    assert server.fails("register_to_work_mail", EntityId=alice, Email=server.address("alice")) == "OrganizationStateException"
    assert blob_files(tmp_path, server.scope) == []
    with server.store.transaction(REGISTRY, write=False) as tx:
        assert tx.one("SELECT wrapped_key FROM organizations WHERE number = :number", number=server.scope) == (None,)
    assert server.call("delete_organization", DeleteDirectory=True)["State"] == "Deleted"
    again = server.workmail.create_organization(Alias=server.organization.alias)["OrganizationId"]
    assert server.workmail.describe_organization(OrganizationId=again)["State"] == "Active"


def test_who_waits_for_an_organization_sees_its_states_in_their_order(server: Serving) -> None:
    made = server.workmail.create_organization(Alias="waited-for")["OrganizationId"]
    with server.store.transaction(REGISTRY, write=False) as tx:
        number = organization_rows.get(tx, made).number

    def put_back(state: str) -> None:
        with server.store.transaction(REGISTRY) as tx:
            organization_rows.set_state(tx, number, state)

    def shown() -> tuple[str, str, bool]:
        described = server.workmail.describe_organization(OrganizationId=made)
        (listed,) = [one for one in server.workmail.list_organizations()["OrganizationSummaries"] if one["OrganizationId"] == made]
        try:
            server.workmail.list_users(OrganizationId=made)
        except server.workmail.exceptions.OrganizationStateException:
            return described["State"], listed["State"], False
        return described["State"], listed["State"], True

    assert shown() == ("Active", "Active", True)
    for before, after in (("Creating", "Active"), ("Deleting", "Deleted")):
        put_back(before)
        end = time.monotonic() + 20  # the API remembers an organization for two seconds
        while shown() != (before, before, False):
            assert time.monotonic() < end
        organizations.recover(server.store)
        while shown() != (after, after, after == "Active"):
            assert time.monotonic() < end
