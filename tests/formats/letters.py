"""Odd letters by name, each showing one thing; written with bare line ends and sent with CRLF unless said otherwise."""

from base64 import encodebytes


def _crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("utf-8", "surrogateescape")


_HEAD = "From: Alice <alice@example.test>\nTo: bob@example.test\nSubject: odd\nDate: Mon, 2 Nov 2026 10:00:00 +0100\n"
_MIXED = _HEAD + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"


def _addressed(fields: str) -> str:
    return fields + "Subject: addresses\nDate: Mon, 2 Nov 2026 10:00:00 +0100\nMessage-ID: <1@example.test>\n\nhello\n"


_TEXTS = {
    # envelope
    "plain": _HEAD + "\nhello\nworld\n",
    "no final newline": _HEAD + "\nhello",
    "no body": _HEAD + "\n",
    "no empty line": _HEAD,
    "no header": "\nhello\n",
    "empty": "",
    "address bare": _addressed("From: alice@example.test\nTo: bob@example.test,carol@example.test\n"),
    "address quoted name": _addressed('From: "Alice \\"A\\" \\\\ Smith" <alice@example.test>\nTo: "B, Bob" <bob@example.test>\n'),
    "address comment name": _addressed("From: alice@example.test (Alice Smith)\nTo: bob@example.test (a (nested) one)\n"),
    "address encoded word": _addressed("From: =?utf-8?q?=C3=84lice?= <alice@example.test>\nTo: =?utf-8?b?w5Y=?= Bob <bob@example.test>\n"),
    "address group": _addressed("From: alice@example.test\nTo: Friends: bob@example.test, Carol <carol@example.test>;\n"),
    "address empty group": _addressed("From: alice@example.test\nTo: undisclosed-recipients:;\n"),
    "address group then one": _addressed('From: alice@example.test\nTo: "The Team": bob@example.test;, dave@example.test\n'),
    "address route": _addressed("From: <@a.test,@b.test:alice@example.test>\nTo: Bob <@c.test:bob@example.test>\n"),
    "address no domain": _addressed("From: alice\nTo: Bob <bob>\n"),
    "address empty": _addressed("From: <>\nTo: \nCc: ,\n"),
    "address quoted local": _addressed('From: "alice smith"@example.test\nTo: "bob\\"x"@example.test\n'),
    "address literal": _addressed("From: alice@[192.0.2.1]\nTo: bob@[IPv6:2001:db8::1]\n"),
    "address dots": _addressed("From: John Q. Public <john@example.test>\nTo: bob..x.@example.test\n"),
    "address spaces": _addressed("From: Alice   Two\n\tFolds <alice @ example . test>\nTo: < bob@example.test >\n"),
    "address unclosed": _addressed("From: Alice <alice@example.test\nTo: \"Bob <bob@example.test>\n"),
    "address twice": _addressed("From: alice@example.test\nTo: bob@example.test\nTo: carol@example.test\n"),
    "address extra commas": _addressed("From: alice@example.test\nTo: ,bob@example.test,,carol@example.test,\n"),
    "address 8-bit": _addressed("From: Älice <alice@example.test>\nTo: böb@exämple.test\n"),
    "address just words": _addressed("From: Alice Smith\nTo: nobody in particular\n"),
    "address semicolons": _addressed("From: alice@example.test\nTo: bob@example.test; carol@example.test\n"),
    "sender and reply-to": _addressed("From: alice@example.test\nSender: desk@example.test\nReply-To: Desk <re@example.test>\n"),
    "sender empty": _addressed("From: alice@example.test\nSender: \nReply-To:\n"),
    "no from": _addressed("To: bob@example.test\n"),
    "subject empty": "From: alice@example.test\nSubject:\nIn-Reply-To: \n\nhello\n",
    "subject folded": "From: alice@example.test\nSubject: one\n two\n\tthree  four\n\nhello\n",
    "subject 8-bit": "From: alice@example.test\nSubject: grüße\n\nhello\n",
    "subject quotes": 'From: alice@example.test\nSubject: say "hi" \\o/\n\nhello\n',
    "subject twice": "From: alice@example.test\nSubject: first\nSubject: second\n\nhello\n",
    "subject blank before colon": "From : alice@example.test\nSubject : spaced\n\nhello\n",
    "references and ids": "From: a@b.test\nIn-Reply-To: <1@x.test> (yes)\nMessage-ID:\n <long@x.test>\nReferences: <0@x.test>\n\nhi\n",
    "junk header line": "From: alice@example.test\nthis is no field\nSubject: junk\n\nhello\n",
    "mbox line": "From alice@example.test Mon Nov  2 10:00:00 2026\n" + _HEAD + "\nhello\n",
    # leaves
    "type params": _HEAD + 'Content-Type: TEXT/Plain; CHARSET="UTF-8"; Format=flowed; x="a\\"b; c"\n\nhello\n',
    "type comment": _HEAD + "Content-Type: text/plain (a; comment); charset=us-ascii (Plain text)\n\nhello\n",
    "type broken": _HEAD + "Content-Type: text\n\nhello\n",
    "type empty": _HEAD + "Content-Type:\n\nhello\n",
    "type html no charset": _HEAD + "Content-Type: text/html\n\n<p>hello\n",
    "type application": _HEAD + "Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: BASE64\n\naGVsbG8=\n",
    "type param without value": _HEAD + "Content-Type: text/plain; charset; format=flowed;\n\nhello\n",
    "type extended params": _HEAD + "Content-Type: application/x; name*=utf-8''%C3%A4.pdf\n\nhello\n",
    "type continued params": _HEAD + "Content-Type: application/x; name*0=\"one\"; name*1=\"two\"\n\nhello\n",
    "encoding comment": _HEAD + "Content-Transfer-Encoding: 8bit (yes)\n\nhello\n",
    "encoding unknown": _HEAD + "Content-Transfer-Encoding: x-Strange\n\nhello\n",
    "all extensions": _HEAD
    + "Content-Type: image/png\nContent-ID: <i@x>\nContent-Description: a \"picture\"\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\n"
    + "Content-Disposition: ATTACHMENT; Filename=\"p.png\"; size=3\nContent-Language: en, de\n"
    + "Content-Location: http://example.test/p.png\nContent-Transfer-Encoding: base64\n\nAAAA\n",
    "disposition no params": _HEAD + "Content-Disposition: inline\n\nhello\n",
    "description 8-bit": _HEAD + "Content-Description: schön\n\nhello\n",
    # multiparts
    "mixed": _MIXED + "preamble\n--b\n\none\n--b\nContent-Type: text/html\n\n<p>two\n\n--b--\nepilogue\n",
    "alternative in mixed": _HEAD
    + "Content-Type: multipart/mixed; boundary=\"out er\"\n\n--out er\nContent-Type: multipart/alternative; boundary=in\n\n"
    + "--in\n\nplain\n--in\nContent-Type: text/html; charset=utf-8\n\n<p>html</p>\n--in--\n\n--out er\n"
    + "Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=x.bin\n\nbin\n--out er--\n",
    "unterminated": _MIXED + "--b\n\none\n--b\n\ntwo\n",
    "no delimiter": _MIXED + "just text\nhere\n",
    "no boundary": _HEAD + "Content-Type: multipart/mixed\n\n--b\n\none\n--b--\n",
    "empty boundary": _HEAD + 'Content-Type: multipart/mixed; boundary=""\n\n--\n\none\n----\n',
    "closing only": _MIXED + "--b--\n",
    "empty parts": _MIXED + "--b\n--b\n\n--b\n\n\n--b--\n",
    "blank behind boundary": _MIXED + "--b \t\n\none\n--b--  \nepilogue\n",
    "boundary prefix": _HEAD
    + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=b1\n\n"
    + "--b1\n\none\n--b1\n\ntwo\n--b1--\n--b\n\nthree\n--b--\n",
    "boundary prefix outside": _HEAD
    + "Content-Type: multipart/mixed; boundary=b1\n\n--b1\nContent-Type: multipart/alternative; boundary=b\n\n"
    + "--b\n\none\n--b\n\ntwo\n--b--\n--b1\n\nthree\n--b1--\n",
    "same boundary inside": _MIXED
    + "--b\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--\n--b\n\nthree\n--b--\n",
    "inner unterminated": _MIXED
    + "--b\nContent-Type: multipart/alternative; boundary=i\n\n--i\n\none\n--b\n\nthree\n--b--\n",
    "part header without empty line": _MIXED + "--b\nContent-Type: text/html\n--b\nContent-Type: text/html\n\nx\n--b--\n",
    "text after closing": _MIXED + "--b\n\none\n--b--\n--b\n\nghost\n--b--\n",
    "boundary with quotes": _HEAD + "Content-Type: multipart/mixed; boundary=\"a'()+_,-./:=?b\"\n\n--a'()+_,-./:=?b\n\none\n--a'()+_,-./:=?b--\n",
    "digest": _HEAD
    + "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: first\nFrom: x@y.test\n\none\n--b\nContent-Type: text/plain\n\ntwo\n--b--\n",
    "report": _HEAD
    + "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nfailed\n--b\nContent-Type: message/delivery-status\n\n"
    + "Reporting-MTA: dns; mx.test\n\nFinal-Recipient: rfc822; x@y.test\nAction: failed\n\n--b\nContent-Type: text/rfc822-headers\n\n"
    + "Subject: orig\n\n--b--\n",
    "multipart extensions": _HEAD
    + "Content-Type: multipart/related; type=\"text/html\"; boundary=b\nContent-Disposition: inline\nContent-Language: de\n"
    + "Content-Location: x\n\n--b\nContent-Type: text/html\n\n<p>\n--b--\n",
    # messages inside
    "rfc822": _MIXED + "--b\nContent-Type: message/rfc822\n\nFrom: in@x.test\nSubject: inner\n\ninner text\nmore\n--b--\n",
    "rfc822 root": _HEAD + "Content-Type: message/rfc822\n\nSubject: inner\n\ninner text\n",
    "rfc822 multipart": _MIXED
    + "--b\nContent-Type: message/rfc822\nContent-Disposition: attachment\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=i\n\n"
    + "--i\n\none\n--i\nContent-Type: image/gif\n\nGIF\n--i--\n\n--b\n\nlast\n--b--\n",
    "rfc822 base64": _MIXED
    + "--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
    + encodebytes(b"Subject: inner\r\n\r\ninner\r\n").decode()
    + "--b--\n",
    "rfc822 empty": _MIXED + "--b\nContent-Type: message/rfc822\n\n--b--\n",
    "rfc822 in rfc822": _HEAD + "Content-Type: message/rfc822\n\nSubject: one\nContent-Type: message/rfc822\n\nSubject: two\n\ndeep\n",
    "message partial": _HEAD + 'Content-Type: message/partial; id="x"; number=1; total=2\n\nSubject: p\n\nhello\n',
    "message global": _MIXED + "--b\nContent-Type: message/global\n\nSubject: größe\n\ninner\n--b--\n",
}

LETTERS: dict[str, bytes] = {name: _crlf(text) for name, text in _TEXTS.items()} | {
    "bare LF": _TEXTS["alternative in mixed"].encode(),
    "bare LF plain": _TEXTS["plain"].encode(),
    "latin-1 header": b"From: J\xfcrgen <j@example.test>\r\nSubject: gr\xfc\xdfe\r\n\r\nhello\r\n",
    "NUL": b"From: a@example.test\r\nSubject: a\0b\r\n\r\nx\0y\r\n",
    "bare CR": b"From: a@example.test\r\nSubject: a\rb\r\n\r\nx\ry\r\n",
    "tab in subject": b"From: a@example.test\r\nSubject: a\tb\r\n\r\nx\r\n",
    "mixed line ends": b"From: a@example.test\nSubject: x\r\nContent-Type: multipart/mixed; boundary=b\n\r\n--b\r\n\nlf\n--b\n\r\ncrlf\r\n--b--\n",
}
