"""Looking into headers and changing them, byte for byte."""

import pytest

from postroom.formats import headers

RAW = b"Received: one\r\n\tby two\r\nSubject: x\r\nreceived: three\r\nReceived-SPF: none\r\nRECEIVED : four\r\n\r\nReceived: body\r\n"


def test_header_block_ends_with_the_empty_line():
    assert headers.header_block(RAW) == RAW[: RAW.index(b"Received: body")]
    assert headers.header_block(b"A: b\n\nc") == b"A: b\n\n"
    assert headers.header_block(b"A: b") == b"A: b"
    assert headers.header_block(b"\r\nA: b") == b"\r\n"
    assert headers.header_block(b"A: b\n\nc\r\n\r\n") == b"A: b\n\n"


def test_find_all_unfolds_and_ignores_case():
    assert headers.find_all(RAW, "Received") == [b"one by two", b"three", b"four"]
    assert headers.find_all(RAW, "by two\r\nSubject") == []
    assert headers.find(RAW, "SUBJECT") == b"x"
    assert headers.find(RAW, "Subj") is None
    assert headers.find(RAW, "Received.SPF") is None


def test_received_count_stops_at_the_body():
    assert headers.received_count(RAW) == 3
    assert headers.received_count(b"") == 0


def test_prepend_and_remove_leave_all_else():
    added = headers.prepend(RAW, [b"Return-Path: <>", b"Received: new\r\n by us"])
    assert added == b"Return-Path: <>\r\nReceived: new\r\n by us\r\n" + RAW
    assert headers.remove(added, "return-path") == b"Received: new\r\n by us\r\n" + RAW
    assert headers.remove(RAW, "received") == b"Subject: x\r\nReceived-SPF: none\r\n\r\nReceived: body\r\n"
    assert headers.remove(RAW, "bcc") == RAW
    assert headers.remove(b"Bcc: x", "bcc") == b""


@pytest.mark.parametrize("value", ["A <a@b.test>, c@d.test", b"A <a@b.test>,\r\n c@d.test"])
def test_addresses(value):
    assert headers.addresses(value) == ["a@b.test", "c@d.test"]


def test_addresses_may_be_beyond_ascii():
    assert headers.addresses("Jörg <jörg@exämple.test>") == ["jörg@exämple.test"]
