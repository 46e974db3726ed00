"""Delivery reports, read back by somebody else's parser."""

from email import message_from_bytes, policy

from postroom.formats.compose import Outcome, report
from postroom.formats.headers import find_all
from postroom.formats.message import summarize

ORIGINAL = b"From: alice@example.test\r\nSubject: hi\r\n\r\nsecret body\r\n"


def made(*outcomes: Outcome, original: bytes = ORIGINAL, **more: object) -> bytes:
    settings = {"reporting_mta": "mx.example.test", "sender": "postmaster@example.test", "recipient": "alice@example.test", "now": 1.7e9}
    return report(outcomes=outcomes, original=original, **(settings | more))


FAILED = Outcome(
    recipient="bob@far.test", action="failed", status="5.1.1", diagnostic="550 5.1.1 no such user", remote_mta="mx.far.test",
    original_recipient="rfc822;bob+x@far.test", last_attempt_at=1.7e9,
)  # fmt: skip


def test_a_failure_report():
    raw = made(FAILED, envelope_id="ENV1", arrived_at=1.69e9)
    parsed = message_from_bytes(raw, policy=policy.default)
    assert parsed.get_content_type() == "multipart/report"
    assert parsed.get_param("report-type") == "delivery-status"
    assert (parsed["To"].addresses[0].addr_spec, parsed["Auto-Submitted"]) == ("alice@example.test", "auto-replied")
    assert parsed["Date"].datetime.timestamp() == 1.7e9
    text, status, header = parsed.iter_parts()
    assert "550 5.1.1 no such user" in text.get_content()
    assert [part.get_content_type() for part in (status, header)] == ["message/delivery-status", "text/rfc822-headers"]
    about, recipient = status.get_payload()
    assert (about["Reporting-MTA"], about["Original-Envelope-Id"]) == ("dns; mx.example.test", "ENV1")
    assert about["Arrival-Date"] == "Sat, 22 Jul 2023 04:26:40 -0000"
    assert recipient["Final-Recipient"] == "rfc822; bob@far.test"
    assert recipient["Original-Recipient"] == "rfc822;bob+x@far.test"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1")
    assert (recipient["Remote-MTA"], recipient["Diagnostic-Code"]) == ("dns; mx.far.test", "smtp; 550 5.1.1 no such user")
    assert "Subject: hi" in header.get_content()
    assert b"secret" not in raw
    assert not parsed.defects


def test_a_delay_report_says_until_when():
    raw = made(Outcome(recipient="bob@far.test", action="delayed", status="4.4.1", retry_until=1.7e9 + 86_400))
    assert b"Subject: Mail delivery is delayed" in raw
    assert b"Will-Retry-Until: Wed, 15 Nov 2023 22:13:20 -0000" in raw
    assert b"Remote-MTA" not in raw
    assert b"Diagnostic-Code" not in raw


def test_a_report_may_return_the_whole_message():
    _, _, returned = message_from_bytes(made(FAILED, whole=True)).get_payload()
    assert returned.get_content_type() == "message/rfc822"
    assert returned.get_payload()[0].get_payload() == "secret body\r\n"


def test_each_recipient_has_its_block():
    raw = made(FAILED, Outcome(recipient="carol@far.test", action="delivered", status="2.0.0"))
    _, status, _ = message_from_bytes(raw).get_payload()
    assert [block["Final-Recipient"] for block in status.get_payload()] == [None, "rfc822; bob@far.test", "rfc822; carol@far.test"]


def test_wide_addresses_make_a_global_report():
    raw = made(Outcome(recipient="jörg@exämple.test", action="failed", status="5.1.1"), original="Subject: grüße\r\n\r\n".encode())
    _, status, header = message_from_bytes(raw).get_payload()
    assert status.get_content_type() == "message/global-delivery-status"
    assert header.get_content_type() == "message/global-headers"
    assert "Final-Recipient: utf-8; jörg@exämple.test\r\n".encode() in raw


def test_nothing_can_be_smuggled_into_a_report():
    evil = "x\r\nBcc: evil@far.test\r\n\r\n--x\x85\u2028\x00"
    raw = made(
        Outcome(recipient=evil, action="failed", status="5.0.0", diagnostic=evil, remote_mta=evil, original_recipient=evil),
        recipient="a@b.test>\r\nBcc: evil@far.test", sender=evil, reporting_mta=evil, envelope_id=evil, original=b"A: b\rBcc: c\n\nx",
    )  # fmt: skip
    assert find_all(raw, "Bcc") == []
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert summarize(raw).structure.count(b'"message" "global-delivery-status"') == 1
    assert not any(line.startswith(b"Bcc: evil") for line in raw.split(b"\r\n"))


def test_no_original_can_break_the_frame():
    raw = made(FAILED, original=made(FAILED), whole=True)
    assert [part.get_content_type() for part in message_from_bytes(raw).get_payload()][2] == "message/rfc822"


def test_two_reports_differ_in_boundary_and_id():
    one, two = summarize(made(FAILED)), summarize(made(FAILED))
    assert one.message_id != two.message_id
