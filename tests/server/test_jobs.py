"""`postroom jobs`, beside a demo that runs meanwhile."""

import imaplib
import re
import stat
import subprocess
import time
from pathlib import Path

import pytest
from imapclient import IMAPClient

from postroom.mailbox import access, contents, folders, items
from postroom.server import background, configuration
from postroom.storage import keys, sqlite
from postroom.storage.engine import Store
from postroom.storage.queries import leases
from tests.program import COMMAND, Program, User, demo, hire, running

DAYS = 86_400.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def program(folder):
    with running(demo(folder)) as program:
        yield program


def postroom(folder: Path, *arguments: str, verb: str = "jobs") -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, verb, "--config", str(folder / "data" / "postroom.toml"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def past(program, folder):
    """The demo's store as it was opened ten days ago."""
    keyring = keys.LocalKeyring(folder / "data" / "keyring.json")
    store = sqlite.open_store(folder / "data", keyring, lambda: time.time() - 10 * DAYS)
    yield store
    store.close()


def put(store: Store, owner: str, raw: bytes, role: str = "inbox") -> None:
    (scope,) = store.scopes()
    prepared = contents.prepare(store, scope, raw)
    with store.transaction(scope) as tx:
        mailbox = access.open_for_delivery(tx, owner)
        items.append(tx, mailbox, folders.by_role(tx, mailbox, role).id, prepared)


def test_they_are_listed(program: Program, folder: Path) -> None:
    listed = postroom(folder, "list")
    assert listed.returncode == 0, listed.stderr
    settings = configuration.load(folder / "data" / "postroom.toml")
    names = [line.split()[0] for line in listed.stdout.splitlines()[1:]]
    assert names == [job.name for job in background.jobs(settings)]
    assert re.search(r"^retention +daily, 02:30 UTC +moves or removes mail as the retention policy says$", listed.stdout, re.MULTILINE)
    assert re.search(r"^sweep-contents +every 10 min +\w", listed.stdout, re.MULTILINE)
    assert re.search(r"^purge-mailboxes +every 1 h +\w", listed.stdout, re.MULTILINE)


def test_one_is_run_and_says_what_it_did(program: Program, folder: Path, past: Store) -> None:
    user = hire(program.ready, "old")
    put(past, user.id, b"Subject: old\r\n\r\nold\r\n")
    rules = [{"Name": "INBOX", "Action": "DELETE", "Period": 9}]
    organization = {"OrganizationId": program.ready.organization_id}
    program.ready.workmail().put_retention_policy(**organization, Name="p", FolderConfigurations=rules)
    for did in (1, 0):
        done = postroom(folder, "run", "retention")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"demo: retention did {did}\n", "")
    with imaplib.IMAP4_SSL(*program.ready.imaps, ssl_context=program.ready.tls()) as imap:
        imap.login(user.email, user.password)
        assert imap.select("INBOX")[1] == [b"0"]
        assert imap.select('"Deleted Items"')[1] == [b"1"]


def test_one_that_runs_elsewhere_is_left_alone(program: Program, folder: Path, past: Store) -> None:
    (scope,) = past.scopes()
    with past.transaction(scope) as tx:
        assert leases.take(tx, "running/retention", "another", 11 * DAYS)
    done = postroom(folder, "run", "retention")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "demo: retention is being run by another process\n")
    with past.transaction(scope) as tx:
        leases.release(tx, "running/retention", "another")
    assert postroom(folder, "run", "retention", "--organization", "demo").stdout == "demo: retention did 0\n"


def test_what_is_not_there_is_not_run(program: Program, folder: Path) -> None:
    done = postroom(folder, "run", "retentoin")
    assert done.returncode == 1
    assert done.stderr.startswith("postroom: There is no job retentoin; there are: sweep-contents, ")
    done = postroom(folder, "run", "retention", "--organization", "other")
    assert (done.returncode, done.stderr) == (1, "postroom: There is no organization other.\n")


def test_what_a_policy_took_from_deleted_items_is_given_back(program: Program, folder: Path, past: Store) -> None:
    user = hire(program.ready, "sorry")
    with imaplib.IMAP4_SSL(*program.ready.imaps, ssl_context=program.ready.tls()) as imap:
        imap.login(user.email, user.password)
        put(past, user.id, b"Subject: missed\r\n\r\nmissed\r\n", "trash")
        rules = [{"Name": "DELETED_ITEMS", "Action": "DELETE", "Period": 9}]
        organization = {"OrganizationId": program.ready.organization_id}
        program.ready.workmail().put_retention_policy(**organization, Name="p", FolderConfigurations=rules)
        assert postroom(folder, "run", "retention").stdout == "demo: retention did 1\n"
        assert imap.select('"Deleted Items"')[1] == [b"0"]
        for recovered in (1, 0):
            done = postroom(folder, "recover-deleted", "sorry", verb="users")
            assert (done.returncode, done.stdout) == (0, f"sorry: {recovered} recovered to Deleted Items\n")
        assert imap.select('"Deleted Items"')[1] == [b"1"]
        assert imap.fetch("1", "(ENVELOPE)")[1][0].startswith(b'1 (ENVELOPE (NIL "missed" ')
    program.ready.workmail().create_user(**organization, Name="nowhere", DisplayName="")
    done = postroom(folder, "recover-deleted", "nowhere", verb="users")
    assert (done.returncode, done.stderr) == (1, "postroom: nowhere has no mailbox.\n")


def test_as_much_is_given_back_as_there_is_room_for(program: Program, folder: Path, past: Store) -> None:
    user = hire(program.ready, "narrow")
    organization = {"OrganizationId": program.ready.organization_id}
    workmail = program.ready.workmail()
    for number in range(3):
        put(past, user.id, b"Subject: %d\r\n\r\n" % number + b"x" * 400_000 + b"\r\n", "trash")
    rules = [{"Name": "DELETED_ITEMS", "Action": "DELETE", "Period": 9}]
    workmail.put_retention_policy(**organization, Name="p", FolderConfigurations=rules)
    assert postroom(folder, "run", "retention").stdout == "demo: retention did 3\n"
    workmail.update_mailbox_quota(**organization, UserId=user.id, MailboxQuota=1)
    done = postroom(folder, "recover-deleted", "narrow", verb="users")
    assert (done.returncode, done.stdout) == (1, "narrow: 2 recovered to Deleted Items\n")
    assert done.stderr == "postroom: The mailbox is full.\n"
    workmail.update_mailbox_quota(**organization, UserId=user.id, MailboxQuota=2)
    assert postroom(folder, "recover-deleted", "narrow", verb="users").stdout == "narrow: 1 recovered to Deleted Items\n"


def idling(program: Program, user: User, folder: str) -> IMAPClient:
    imap = IMAPClient(*program.ready.imaps, ssl=True, ssl_context=program.ready.tls(), timeout=30)
    imap.login(user.email, user.password)
    imap.select_folder(folder)
    imap.idle()
    return imap


def hear(imap: IMAPClient, *awaited: object) -> None:
    """Wait in IDLE until this has been said."""
    heard: list[object] = []
    while awaited not in heard:
        said = imap.idle_check(30)
        assert said, (awaited, heard)
        heard += said


@pytest.mark.effect("PutRetentionPolicy")
def test_clients_in_idle_see_what_a_command_moves(program: Program, folder: Path, past: Store) -> None:
    user = hire(program.ready, "watcher")
    put(past, user.id, b"Subject: one\r\n\r\none\r\n")
    put(past, user.id, b"Subject: two\r\n\r\ntwo\r\n", "trash")

    def expire(name: str) -> None:
        rules = [{"Name": name, "Action": "DELETE", "Period": 9}]
        workmail = program.ready.workmail()
        workmail.put_retention_policy(OrganizationId=program.ready.organization_id, Name="p", FolderConfigurations=rules)
        assert postroom(folder, "run", "retention").stdout == "demo: retention did 1\n"

    inbox, trash = idling(program, user, "INBOX"), idling(program, user, "Deleted Items")
    expire("INBOX")
    hear(inbox, 1, b"EXPUNGE")
    hear(trash, 2, b"EXISTS")
    expire("DELETED_ITEMS")
    hear(trash, 1, b"EXPUNGE")
    assert postroom(folder, "recover-deleted", "watcher", verb="users").returncode == 0
    hear(trash, 2, b"EXISTS")
    inbox.shutdown()
    trash.shutdown()


def test_a_client_in_idle_goes_with_its_password(program: Program, folder: Path) -> None:
    user = hire(program.ready, "careless")
    imap = idling(program, user, "INBOX")
    assert postroom(folder, "reset-password", "careless", verb="users").returncode == 0
    hear(imap, b"BYE", b"Sign", b"in", b"again.")
    imap.shutdown()


def test_nothing_is_left_of_the_pipe_and_nobody_else_may_write_to_it(program: Program, folder: Path) -> None:
    pipe = folder / "data" / "changes"
    assert pipe.is_fifo()
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o600
    program.stop()
    assert not pipe.exists()
    assert postroom(folder, "run", "retention").returncode == 0
