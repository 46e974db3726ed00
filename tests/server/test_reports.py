"""`postroom reports`: what others have sent, found in files and mailboxes, added up, and harmless to a terminal."""

from __future__ import annotations

import gzip
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import msgspec
import pytest

from postroom.formats import dmarc_report, received_reports, report_letter, tls_report
from postroom.formats.dmarc_report import Policy, Report, Row
from postroom.formats.report_letter import Subject, Submitter
from postroom.mailbox import access, contents, folders, items
from postroom.model.organizations import Organization
from postroom.server import cli
from postroom.server.cli import reports
from postroom.server.report_tables import Tables
from postroom.storage.engine import Store
from tests.conftest import Clock
from tests.formats.test_reports import FOREIGN, zipped
from tests.people import People, populate


@pytest.fixture
def people(store: Store, organization: Organization) -> People:
    return populate(store, organization)


SUBMITTER = Submitter("Far", "reports@far.test", "reports@far.test")
TLS = tls_report.Report(
    "Far",
    tls_report.Day(20_000).range,
    "reports@far.test",
    "1",
    (
        tls_report.Policy(
            tls_report.PolicyText("sts", ("version: STSv1",), "example.test", ("mx.example.test",)),
            tls_report.Summary(90, 10),
            (
                tls_report.Failure("certificate-expired", receiving_mx_hostname="mx.example.test", failed_session_count=7),
                tls_report.Failure("starttls-not-supported", failed_session_count=3),
            ),
        ),
    ),
)


def report(id: str = "1", *rows: Row) -> Report:
    return Report("Far", "reports@far.test", id, 1, 2, Policy("example.test", p="reject", sp="reject"), rows or (row("192.0.2.1", 3),))


def row(source: str, count: int, **values: str) -> Row:
    return replace(Row(source, count, "none", "pass", "fail", "example.test"), **values)  # type: ignore[arg-type]


def letter(found: Report | tls_report.Report) -> bytes:
    about = Subject("example.test", 20_000, "1")
    if isinstance(found, Report):
        return report_letter.dmarc(SUBMITTER, "rua@example.test", about, dmarc_report.write(found), 1.0)
    return report_letter.tls(SUBMITTER, "rua@example.test", about, tls_report.write(found), 1.0)


def lines(*found: received_reports.Report) -> list[str]:
    tables = Tables()
    for one in found:
        tables.add(one)
    return [" ".join(line.split()) for line in tables.lines()]


@pytest.mark.parametrize("kind", ["application/zip", "application/gzip", "application/octet-stream", "text/xml", "text/plain"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_letter_as_others_write_it(kind: str, alone: bool) -> None:
    content = {"application/zip": zipped(FOREIGN), "text/xml": FOREIGN, "text/plain": FOREIGN}.get(kind, gzip.compress(FOREIGN))
    message = EmailMessage()
    message["Subject"] = "Report domain: example.test Submitter: receiver.example Report-ID: 4711"
    if not alone:
        message.set_content("see below")
        message.add_attachment(content, *kind.split("/"), filename="receiver.example!example.test!1!2.xml")
    else:
        message.set_content(content, *kind.split("/"), disposition="attachment", filename="receiver.example!example.test!1!2.xml")
    (found,) = received_reports.in_letter(message.as_bytes())
    assert found == dmarc_report.read(FOREIGN)


def test_our_own_letters_are_read() -> None:
    assert received_reports.in_letter(letter(report())) == [report()]
    assert received_reports.in_letter(letter(TLS)) == [TLS]


def test_letters_are_looked_into_within_bounds() -> None:
    message = EmailMessage()
    message.set_content("x")
    for _ in range(30):
        message.add_attachment(FOREIGN, "text", "xml", filename="r.xml")
    assert len(received_reports.in_letter(message.as_bytes())) == received_reports.MAX_REPORTS
    junk = EmailMessage()
    junk.set_content("x")
    for _ in range(received_reports.MAX_PARTS):
        junk.add_attachment(b"PK\x03\x04", "application", "zip", filename="r.zip")
    junk.add_attachment(FOREIGN, "text", "xml", filename="r.xml")
    assert received_reports.in_letter(junk.as_bytes()) == []
    assert received_reports.in_letter(letter(report()) + b" " * received_reports.MAX_LETTER) == []


def test_what_is_alike_is_added_up_and_what_comes_twice_is_not() -> None:
    one = report("1", row("192.0.2.1", 3), row("192.0.2.1", 1, header_from="sub.example.test"), row("192.0.2.2", 9, disposition="reject"))
    assert lines(one, one, report("2")) == [
        "DOMAIN SOURCE COUNT DKIM SPF DISPOSITION",
        "example.test 192.0.2.2 9 pass fail reject",
        "example.test 192.0.2.1 7 pass fail none",
    ]


def test_failures_are_told_by_their_kinds() -> None:
    assert lines(TLS, replace_id(TLS, "2"), report()) == [
        "DOMAIN SOURCE COUNT DKIM SPF DISPOSITION",
        "example.test 192.0.2.1 3 pass fail none",
        "",
        "DOMAIN POLICY WENT WELL FAILED HOW",
        "example.test sts 180 20 14 certificate-expired mx.example.test, 6 starttls-not-supported",
    ]


def replace_id(found: tls_report.Report, id: str) -> tls_report.Report:
    return msgspec.structs.replace(found, report_id=id)


def test_nothing_in_a_report_is_obeyed_by_a_terminal() -> None:
    hostile = report("1", row("\x1b[2J\u202e", 1, disposition="\x07"))
    assert all(line.isprintable() for line in lines(hostile, replace_id(TLS, "\x1b")))


def put(store: Store, people: People, raw: bytes, role: str = "inbox") -> None:
    prepared = contents.prepare(store, 1, raw)
    with store.transaction(1) as tx:
        mailbox = access.open_for_delivery(tx, people.ids["alice"])
        items.append(tx, mailbox, folders.by_role(tx, mailbox, role).id, prepared)


def test_a_mailbox_is_read_in_all_its_folders(store: Store, people: People, clock: Clock) -> None:
    put(store, people, letter(report("old")))
    clock.advance(9 * 86_400)
    put(store, people, letter(report("1")))
    put(store, people, letter(TLS), role="junk")
    put(store, people, b"Subject: lunch?\r\n\r\nno report\r\n")
    for address in ("alice@example.test", "ally+rua@example.test"):
        found = list(reports._received(store, people.organization, address, 5))
        assert sorted(str(type(one)) for one in found) == sorted(str(type(one)) for one in (report(), TLS))
    assert len(list(reports._received(store, people.organization, "alice@example.test", 30))) == 3


def test_files_are_shown_and_what_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.xml.gz").write_bytes(gzip.compress(FOREIGN))
    (tmp_path / "b.eml").write_bytes(letter(TLS))
    (tmp_path / "c.txt").write_bytes(b"no report")
    names = [str(tmp_path / name) for name in ("a.xml.gz", "b.eml", "c.txt", "gone")]
    assert cli.main(["reports", "show", *names[:2]]) == 0
    shown = capsys.readouterr().out
    assert "a.xml.gz: 1 report\n" in shown
    assert "192.0.2.1" in shown
    assert "certificate-expired" in shown
    assert cli.main(["reports", "show", *names]) == 1
    told = capsys.readouterr()
    assert f"{names[2]}: no XML" in told.err
    assert f"{names[3]}: No such file" in told.err
    assert "192.0.2.1" in told.out
