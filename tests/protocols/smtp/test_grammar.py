"""Command lines taken apart, and replies put together."""

import pytest

from postroom.protocols.smtp.grammar import Auth, BadCommand, Bdat, Helo, Mail, Rcpt, Reply, parse


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("ehlo Client.test ", Helo("Client.test", extended=True)),
        ("HELO [IPv6:::1]", Helo("[IPv6:::1]", extended=False)),
        ("mail from:<>", Mail("", None, False, False)),
        ("MAIL FROM:<A.b+c@x-y.test> size=10 body=8bitmime SMTPUTF8", Mail("A.b+c@x-y.test", 10, True, True)),
        ("MAIL FROM:<@a.test,@b.test:c@d.test>", Mail("c@d.test", None, False, False)),
        ('MAIL FROM:<"a.b"@c.test>', Mail("a.b@c.test", None, False, False)),
        ('MAIL FROM:<"a b@\\""@c.test> BODY=7BIT', Mail('"a b@\\""@c.test', None, False, False)),
        ("MAIL FROM:<a..b.@c.test>", Mail("a..b.@c.test", None, False, False)),
        (f"MAIL FROM:<{'v' * 100}=far.test@lists.test>", Mail(f"{'v' * 100}=far.test@lists.test", None, False, False)),
        ("RCPT TO:<a@[192.0.2.1]>", Rcpt("a", "[192.0.2.1]")),
        ("RCPT TO:<a@[IPv6:2001:db8::1]>", Rcpt("a", "[IPv6:2001:db8::1]")),
        ("rcpt to:<PostMaster>", Rcpt("PostMaster", "")),
        ("RCPT TO:<jürgen@fär.test>", Rcpt("jürgen", "fär.test")),
        ("BDAT 0 last", Bdat(0, last=True)),
        ("BDAT 12345", Bdat(12345, last=False)),
        ("auth plain =", Auth("PLAIN", "")),
        ("AUTH LOGIN", Auth("LOGIN", None)),
    ],
)
def test_good_lines(line: str, command: object) -> None:
    assert parse(line.encode()) == command


@pytest.mark.parametrize(
    "line",
    [
        "MAIL FROM:<a@b.test",
        "MAIL FROM:<a@b.test>>",
        "MAIL FROM:<<a@b.test>>",
        "MAIL FROM:<a@b.test> a@c.test",
        "MAIL FROM:<a@b.test> SIZE",
        "MAIL FROM:<a@b.test> SIZE=-1",
        "MAIL FROM:<a@b.test> SMTPUTF8=yes",
        "MAIL FROM:<a@b.test> BODY",
        "MAIL FROM:<a@-b.test>",
        "MAIL FROM:<a@b..test>",
        "MAIL FROM:<@b.test>",
        "MAIL FROM:<a@>",
        "MAIL FROM:<a,b@c.test>",
        'MAIL FROM:<"a@c.test>',
        "MAIL FROM:<" + "a" * 250 + "@c.test>",
        "MAIL FROM:<a@" + "b" * 64 + ".test>",
        "MAIL FROM:<a@\u2260.test> SMTPUTF8",
        "MAIL FROM:<a@" + ".".join(["a" * 60] * 5) + ">",
        "MAIL FROM",
        "RCPT TO:",
        "RCPT TO:<>",
        "RCPT TO:<a>",
        "BDAT",
        "BDAT 1 2",
        "BDAT -1",
        "BDAT 0x10",
        "AUTH PLAIN a b",
        "AUTH PL@IN",
        "STARTTLS x",
        "",
        " NOOP",
        "NOOP\t",
    ],
)
def test_bad_lines(line: str) -> None:
    with pytest.raises(BadCommand) as caught:
        parse(line.encode())
    assert 500 <= caught.value.reply.code < 600


def test_a_hostile_line_takes_no_time() -> None:
    for line in (
        "MAIL FROM:<" + "a." * 2000,
        "RCPT TO:<@" + "a," * 1500,
        "MAIL FROM:<a@" + "a-" * 1900 + ">",
        'MAIL FROM:<"' + "\\a" * 1900,
    ):
        with pytest.raises(BadCommand):
            parse(line.encode())


def test_replies_of_one_and_of_several_lines() -> None:
    assert Reply(250, "2.1.0", "OK").render() == b"250 2.1.0 OK\r\n"
    assert Reply(250, "", "host", ("A", "B")).render() == b"250-host\r\n250-A\r\n250 B\r\n"
    assert [Reply(code, "", "").closing for code in (221, 250, 421, 521, 550)] == [True, False, True, True, False]
