"""Header values: encoded words, charsets, parameters, addresses, dates."""

import pytest

from postroom.formats import addresses, charsets, dates, parameters
from postroom.formats.nstrings import nstring, string
from postroom.formats.words import base64, decode_header, unfold


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"plain", "plain"),
        (b" folded\r\n value\n\tagain ", "folded value again"),
        (b"=?utf-8?q?H=C3=A4llo_du?=", "Hällo du"),
        (b"=?UTF-8?B?SMOkbGxv?=", "Hällo"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?=\r\n =?utf-8?q?b?= c =?utf-8?q?d?=", "ab c d"),
        (b"=?utf-8?b?ww==?= =?utf-8?b?pA==?=", "ä"),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "ä"),
        (b"=?iso-8859-1?q?=E4?= =?utf-8?q?=C3=A4?=", "ää"),
        (b"x=?utf-8?q?a?=y", "xay"),
        (b"=?utf-8*de?q?a?=", "a"),
        (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
        (b"=?utf-8?q?a b?=", "a b"),
        (b"=?x-unknown?q?=E4?=", "ä"),
        (b"=?idna?q?xn--?=", "xn--"),
        (b"=?zlib?b?eJw=?=", "x\u0153"),
        (b"=?utf-8?q?unclosed", "=?utf-8?q?unclosed"),
        ("gr\u00fc\u00dfe".encode(), "gr\u00fc\u00dfe"),
        (b"gr\xfc\xdfe", "gr\u00fc\u00dfe"),
        (b"=?gb2312?b?xOO6ww==?=", "你好"),
        (b"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?ks_c_5601-1987?b?vsiz5w==?=", "안녕"),
    ],
)
def test_decode_header(value, wanted):
    assert decode_header(value) == wanted


def test_unfold_keeps_blanks_inside():
    assert unfold(b" a\r\n  b\tc\r\n") == b"a  b\tc"


@pytest.mark.parametrize(("data", "wanted"), [(b"aGk=", b"hi"), (b"aGk", b"hi"), (b"a G\r\nk!=", b"hi"), (b"aGkxx", b"hi1"), (b"a", b""), (b"", b"")])
def test_base64_goes_as_far_as_it_can(data, wanted):
    assert base64(data) == wanted


@pytest.mark.parametrize("name", ["punycode", "idna", "base64", "rot13", "unicode_escape", "undefined", "../x", "\0", "", "x" * 1000])
def test_names_that_are_no_charsets_mean_a_guess(name):
    assert charsets.decode(b"gr\xc3\xbc\xc3\x9fe", name) == "grüße"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"text/plain", (b"text/plain", [])),
        (b"Text/Plain; Charset=UTF-8", (b"text/plain", [(b"charset", b"UTF-8")])),
        (b'a/b; c="d;e=f"; g=h', (b"a/b", [(b"c", b"d;e=f"), (b"g", b"h")])),
        (b'a/b; c="x\\"y\\\\z"', (b"a/b", [(b"c", b'x"y\\z')])),
        (b'a/b; c="open; d=e', (b"a/b", [(b"c", b"open; d=e")])),
        (b"a/b; name=My File.pdf; x=y", (b"a/b", [(b"name", b"My File.pdf"), (b"x", b"y")])),
        (b"a/b (hm; c=d); e=f (g)", (b"a/b", [(b"e", b"f")])),
        (b"a/b;;; ;c=d;", (b"a/b", [(b"c", b"d")])),
        (b"a/b; c = d", (b"a/b", [(b"c", b"d")])),
        (b"a/b; name=x(1).pdf", (b"a/b", [(b"name", b"x(1).pdf")])),
        (b'attachment; filename="a (1).pdf"', (b"attachment", [(b"filename", b"a (1).pdf")])),
        (b"", (b"", [])),
        (b"; a=b", (b"", [(b"a", b"b")])),
    ],
)
def test_parameters(value, wanted):
    assert parameters.parse(value) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"attachment; filename=a.txt", "a.txt"),
        (b'attachment; filename="=?utf-8?q?=C3=A4.txt?="', "ä.txt"),
        (b"attachment; filename=a.txt; filename*=utf-8'de'%C3%A4.txt", "ä.txt"),
        (b"attachment; filename*=%C3%A4.txt", "ä.txt"),
        (b"attachment; filename*=iso-8859-1''%E4.txt", "ä.txt"),
        (b'attachment; filename*0="a b"; filename*1=c.txt', "a bc.txt"),
        (b"attachment; filename*1=b; filename*0*=utf-8''%C3; filename*1*=%A4; filename*2=.txt", "\ufffdb.txt"),
        (b"attachment; filename*0*=utf-8''%C3; filename*1*=%A4; filename*2=%20.txt", "ä%20.txt"),
        (b"attachment; filename*1=x; filename*3=y", ""),
        (b"attachment; filename*0=x; filename*2=y", "x"),
        (b"attachment; filename*99999999999999999999=x", ""),
        ("attachment; filename=ä.txt".encode(), "ä.txt"),
        (b"attachment", ""),
    ],
)
def test_file_names(value, wanted):
    assert parameters.text(parameters.parse(value)[1], "filename") == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"a@b.test", [b"a@b.test"]),
        (b"A <a@b.test>, \"C, D\" <c@d.test>", [b"a@b.test", b"c@d.test"]),
        (b"x (one, two) <a@b.test> (three)", [b"a@b.test"]),
        (b"(c(d)\\)) a@b.test", [b"a@b.test"]),
        (b"list: a@b.test, C <c@d.test>;, e@f.test", [b"a@b.test", b"c@d.test", b"e@f.test"]),
        (b"one:; two: a@b.test;", [b"a@b.test"]),
        (b"<@r.test,@s.test:a@b.test>", [b"a@b.test"]),
        (b'"a b"@c.test, "d.e"@f.test', [b'"a b"@c.test', b"d.e@f.test"]),
        (b"a@b@c.test", [b'"a@b"@c.test']),
        (b"a @ [192.0.2.1]", [b"a@[192.0.2.1]"]),
        (b"nobody, <>, @, a@, @b, ;:<,", []),
        (b"a@b.test\0c", [b"a@b.test\0c"]),
        (b"", []),
    ],
)
def test_addr_specs(value, wanted):
    assert list(addresses.specs(value)) == wanted


def test_addresses_of_a_field_are_bounded():
    found = addresses.parse(b"x:" + b"a@b.test," * (addresses.MAX_ADDRESSES + 10))
    assert len(found) == addresses.MAX_ADDRESSES + 1
    assert found[-1] == addresses.GROUP_END


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("Mon, 2 Nov 2026 10:00:00 +0100", 1_793_610_000.0),
        ("2 Nov 2026 10:00 +0100", 1_793_610_000.0),
        ("Mon, 02 Nov 2026 09:00:00 GMT (comment)", 1_793_610_000.0),
        ("mon,2 nov 26 09:00:00 UT", 1_793_610_000.0),
        ("Monday, 02-Nov-26 09:00:00 Z", 1_793_610_000.0),
        ("2 November 126 04:00:00 EST", 1_793_610_000.0),
        ("2 Nov 2026 01:00:00 PST", 1_793_610_000.0),
        ("2 Nov 2026 09:00:00 A", 1_793_610_000.0),
        ("2 Nov 2026 09:00:00", 1_793_610_000.0),
        ("Mon Nov  2 09:00:00 2026", 1_793_610_000.0),
        ("Mon, 2 Nov 2026 05:30:00 -03:30", 1_793_610_000.0),
        ("Fri, 31 Dec 1999 23:59:60 +0000", 946_684_800.0),
        ("1 Jan 1970 00:00:00 +0000", 0.0),
    ],
)
def test_dates(text, utc):
    assert dates.parse(text).utc == utc


def test_the_wall_clock_ignores_the_zone():
    assert dates.parse("Mon, 2 Nov 2026 23:30:00 -0800").wall == dates.parse("Mon, 2 Nov 2026 23:30:00 +0000").utc


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "30 Feb 2026 10:00:00", "1 Jan 1066 00:00:00", "1 Jan 9999 00:00:00", "2 Nov 2026 24:00:00", "2 Nov 2026 10:60", "0 Nov 2026 10:00",
     "2 Foo 2026 10:00", "9" * 10_000, "2 Nov \u0662\u0660\u0662\u0666x 10:00", " " * 100_000, "2 Nov 2026"],
)  # fmt: skip
def test_no_dates(text):
    assert dates.parse(text) is None


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, b"NIL"),
        (b"", b'""'),
        (b"a b\t(c)", b'"a b\t(c)"'),
        (b'say "x" \\', b'"say \\"x\\" \\\\"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"\xff", b"{1}\r\n\xff"),
        (b"a\0b", b"{2}\r\nab"),
        (b'\xff"', b'{2}\r\n\xff"'),
    ],
)
def test_imap_strings(value, wanted):
    assert nstring(value) == wanted
    assert value is None or string(value) == wanted
