"""The summary of a letter: search fields, texts, attachments."""

import pytest

from postroom.formats import message, parts, text
from postroom.formats.message import summarize, texts

LETTER = """\
From: =?utf-8?q?Alice_=C3=84rger?= <Alice@Example.test>
To: BOB@example.test
To: Carol <carol@example.test>
Cc: "Straße, D" <d@example.test>
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus
 Wien
Date: Mon, 2 Nov 2026 23:30:00 -0800
Message-ID: <1@example.test>
In-Reply-To: <0@example.test>
References: <a@example.test>
\t<0@example.test>
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: multipart/alternative; boundary=i

--i
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

sch=F6n=
er Text
--i
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PHA+Zm9vPGJyPmJhciAmYW1wOyBiw6RyPC9wPjxzdHlsZT5oaWRkZW57fTwvc3R5bGU+
--i--
--b
Content-Type: application/pdf; name=old.pdf
Content-Disposition: attachment; filename*=utf-8''Stra%C3%9Fe.pdf

%PDF secret
--b
Content-Type: image/png; name=logo.png
Content-Disposition: inline; filename=logo.png

PNG
--b
Content-Type: message/rfc822

Subject: =?utf-8?q?inn=C3=A9r?=
Content-Type: text/plain

deep words
--b--
""".replace("\n", "\r\n").encode()


def test_search_fields_are_decoded_and_casefolded():
    summary = summarize(LETTER)
    assert summary.subject == "grüsse aus wien"
    assert summary.sender == "alice ärger <alice@example.test>"
    assert summary.to == "bob@example.test, carol <carol@example.test>"
    assert summary.cc == '"strasse, d" <d@example.test>'
    assert summary.bcc == ""
    assert (summary.message_id, summary.in_reply_to) == ("<1@example.test>", "<0@example.test>")
    assert summary.references == "<a@example.test> <0@example.test>"
    assert summary.size == len(LETTER)


def test_both_clocks_of_the_date():
    summary = summarize(LETTER)
    assert summary.sent_at - summary.sent_wall == 8 * 3600


def test_texts_are_decoded():
    words = texts(LETTER)
    assert "Subject: Grüße aus Wien" in words.header
    assert "From: Alice Ärger <Alice@Example.test>" in words.header
    assert "schöner Text" in words.body
    assert "foo bar & bär" in words.body
    assert "Straße.pdf" in words.body
    assert "Subject: innér" in words.body
    assert "deep words" in words.body
    assert "hidden" not in words.body
    assert "secret" not in words.body


def test_attachments_are_counted():
    assert summarize(LETTER).attachments == 2
    assert summarize(b"Subject: x\r\n\r\nhello").attachments == 0
    assert summarize(b"Content-Type: application/pdf; name=x.pdf\r\n\r\n").attachments == 1


def test_the_map_names_files_and_charsets():
    root = parts.unpack(summarize(LETTER).parts)
    pdf = root.children[1]
    assert (pdf.type, pdf.disposition, pdf.filename) == ("application/pdf", "attachment", "Straße.pdf")
    plain = root.children[0].children[0]
    assert (plain.charset, plain.encoding, plain.lines) == ("iso-8859-1", "quoted-printable", 1)


def test_texts_are_bounded():
    words = texts(b"X: " + b"h" * 3_000_000 + b"\r\n\r\n" + b"b" * 3_000_000)
    assert len(words.header) == text.TEXT_LIMIT
    assert len(words.body) == text.TEXT_LIMIT


def test_fields_are_bounded():
    summary = summarize(b"Subject: " + b"s" * 500_000 + b"\r\nTo: " + b"a@b.test," * 50_000 + b"\r\n\r\n")
    assert len(summary.subject) == message.FIELD_LIMIT
    assert len(summary.to) <= message.FIELD_LIMIT
    assert len(summary.envelope) < 600_000


def test_texts_can_be_stored():
    raw = b"Subject: a\0b =?utf-16?b?2AA=?= =?utf-7?q?+2AA-?=\r\n\r\nx\0y"
    for value in (summarize(raw).subject, texts(raw).header, texts(raw).body):
        assert value
        assert "\0" not in value
        value.encode()


@pytest.mark.parametrize(
    ("html", "wanted"),
    [
        ("<p>a<b>b</b></p>", "a b"),
        ("a &lt;b&gt; &#228; &nope;", "a <b> ä &nope;"),
        ("x<style>y</style >z", "x z"),
        ("x<!-- <p> y -->z", "x z"),
        ("x<SCRIPT src='a'>y<p></Script>z", "x z"),
        ("x<script>y", "x"),
        ("1 < 2", "1 < 2"),
        ("<" * 10, "<" * 10),
    ],
)
def test_html_is_sieved(html, wanted):
    assert " ".join(text.strip_html(html).split()) == wanted
