"""Commands as clients write them, and as they should not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.protocols.imap.grammar import answers, commands, dates, names, sets
from postroom.protocols.imap.grammar.commands import Flags
from postroom.protocols.imap.grammar.fetch import Section
from postroom.protocols.imap.grammar.parse import parse
from postroom.protocols.imap.grammar.scanner import Malformed, Scanner
from postroom.protocols.imap.grammar.search import Key
from postroom.protocols.imap.literals import Allowance, Literal


def read(text: bytes, *literals: bytes) -> commands.Command:
    kept = []
    for value in literals:
        literal = Literal(len(value), Allowance(len(value)), None)
        literal.feed(value)
        kept.append(literal)
    return parse(Scanner(text, tuple(kept)))


GOOD = [
    (b"noop", commands.Noop()),
    (b"NOOP ", commands.Noop()),
    (b'LOGIN "a\\"b" {3}\r\n', commands.Login(b'a"b', b"x y")),
    (b"AUTHENTICATE plain =", commands.Authenticate(b"PLAIN", b"")),
    (b"SELECT inbox", commands.Select("Inbox", False, False)),
    (b"EXAMINE INBOX/x (CONDSTORE)", commands.Select("Inbox/x", True, True)),
    (b'RENAME "a b" c]', commands.Rename("a b", "c]")),
    (b"CREATE x (USE (\\Sent))", commands.Create("x", (b"\\Sent",))),
    (b"STATUS x (messages UIDNEXT messages)", commands.Status("x", (b"MESSAGES", b"UIDNEXT"))),
    (b"ENABLE condstore x", commands.Enable((b"CONDSTORE", b"X"))),
    (b"UID EXPUNGE 1,3:*", commands.Expunge(((1, 1), (3, 0)))),
    (b"COPY *:2 x", commands.Copy(((0, 2),), "x", False)),
    (b"UID MOVE 7 x", commands.Move(((7, 7),), "x", True)),
    (b"STORE 1 flags.silent \\Seen Blue", commands.Store(((1, 1),), "replace", Flags(1, ("Blue",)), True, None, False)),
    (
        b"UID STORE 1 (UNCHANGEDSINCE 9223372036854775807) -FLAGS (\\deleted \\recent)",
        commands.Store(((1, 1),), "remove", Flags(8), False, (1 << 63) - 1, True),
    ),
    (b"FETCH 1 all", commands.Fetch(((1, 1),), (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE"), None, False)),
    (b"FETCH 1 (UID UID flags)", commands.Fetch(((1, 1),), (b"UID", b"FLAGS"), None, False)),
    (
        b'UID FETCH 1 BODY.PEEK[1.2.HEADER.FIELDS.NOT (to "x%y")]<5.10> (CHANGEDSINCE 3)',
        commands.Fetch(
            ((1, 1),),
            (Section(b"1.2", b"HEADER.FIELDS.NOT", (b"to", b"x%y"), 5, 10, True, b'BODY[1.2.HEADER.FIELDS.NOT (to "x%y")]<5>'),),
            3,
            True,
        ),
    ),
    (b"FETCH 1 body[]", commands.Fetch(((1, 1),), (Section(b"", b"", (), 0, None, False, b"BODY[]"),), None, False)),
    (
        b"SEARCH 1:3 or not seen (from x) uid 9",
        commands.Search(
            Key(
                b"AND",
                (
                    Key(b"SET", (((1, 3),),)),
                    Key(b"OR", (Key(b"NOT", (Key(b"SEEN"),)), Key(b"FROM", ("x",)))),
                    Key(b"UID", (((9, 9),),)),
                ),
            ),
            None,
            False,
        ),
    ),
    (b"UID SEARCH RETURN () SINCE 1-Jan-1970", commands.Search(Key(b"SINCE", (0,)), frozenset({b"ALL"}), True)),
    (b'SEARCH CHARSET utf-8 SUBJECT "\xc3\xbc"', commands.Search(Key(b"SUBJECT", ("ü",)), None, False)),
    (b'GETQUOTA ""', commands.GetQuota(b"")),
    (b'ID ("name" "x" "v" NIL)', commands.Id(((b"name", b"x"), (b"v", None)))),
]


@pytest.mark.parametrize(("text", "command"), GOOD, ids=lambda value: value.decode("latin-1") if isinstance(value, bytes) else "")
def test_commands(text: bytes, command: commands.Command) -> None:
    assert read(text, b"x y") == command


BAD = [
    b"", b" NOOP", b"NOOP NOOP", b"NO\xc3\xb6P", b"LOGIN a", b'LOGIN "a b', b'LOGIN "a\\x" b', b"LOGIN a {3}\r\n", b"LOGIN {3} b",
    b"SELECT", b"SELECT a b", b"SELECT (a)", b"SELECT x (NEWEST)", b"ENABLE", b"STATUS x ()", b"STATUS x (SHOE)", b"COPY 0 x", b"COPY 1: x",
    b"COPY ,1 x", b"COPY 4294967296 x", b"COPY a x", b"FETCH 1", b"FETCH 1 ()", b"FETCH 1 (UID", b"FETCH 1 BODY[", b"FETCH 1 BODY[1.]",
    b"FETCH 1 BODY[0]", b"FETCH 1 BODY[HEADER.FIELDS]", b"FETCH 1 BODY[HEADER.FIELDS ()]", b"FETCH 1 BODY[HEADER.FIELDS (a:b)]",
    b"FETCH 1 BODY[]<0>", b"FETCH 1 BODY[]<0.0>", b"FETCH 1 BODY[MIME]", b"FETCH 1 BODY[TEXT.1]", b"FETCH 1 (ALL)", b"STORE 1 FLAGS",
    b"STORE 1 +FLAGS (\\Purple)", b"STORE 1 +FLAGS (a(b)", b"STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS a", b"SEARCH",
    b"SEARCH OR SEEN", b"SEARCH NOT", b"SEARCH (", b"SEARCH (SEEN", b"SEARCH SINCE 31-Feb-2000", b"SEARCH SINCE 1-Foo-2000",
    b"SEARCH LARGER x", b"SEARCH " + b"(" * 100 + b"SEEN" + b")" * 100, b"SEARCH " + b"NOT " * 100 + b"SEEN",
    b"SEARCH RETURN (BEST) ALL", b'SEARCH SUBJECT "\xff"', b"APPEND x", b"APPEND x (\\Seen)", b'APPEND x "1-Jan-2000" {1}\r\n', b"UID NOOP",
    b"UID EXPUNGE", b"LIST a", b'LIST (RECURSIVEMATCH) "" *', b'LIST "" * RETURN (COLOUR)', b"AUTHENTICATE", b"AUTHENTICATE PLAIN a=b",
    b"ID", b"ID (", b'ID ("a")',
]  # fmt: skip


@pytest.mark.parametrize("text", BAD, ids=lambda value: value[:60].decode("latin-1"))
def test_not_commands(text: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        read(text)
    assert caught.value.status == b"BAD"


def test_append_takes_several_messages() -> None:
    command = read(b'APPEND "Sent Items" (\\Seen $x) " 1-Jan-1970 01:00:00 +0100" {2}\r\n {3}\r\n', b"ab", b"cde")
    assert isinstance(command, commands.Append)
    assert command.mailbox == "Sent Items"
    assert [(message.flags, message.received_at, message.content.read()) for message in command.messages] == [
        (Flags(1, ("$x",)), 0, b"ab"),
        (Flags(), None, b"cde"),
    ]


@pytest.mark.parametrize(
    ("wire", "path"),
    [
        (b"INBOX", "Inbox"),
        (b"inbox/x", "Inbox/x"),
        (b"Inboxes", "Inboxes"),
        (b"a/inbox", "a/inbox"),
        (b"R&-D", "R&D"),
        (b"&ZeVnLIqe-", "日本語"),
        (b"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
        (b"&2D3eAA-", "😀"),
    ],
)
def test_names(wire: bytes, path: str) -> None:
    assert names.decode(wire) == path
    assert names.decode(names.encode(path)) == path


@pytest.mark.parametrize("wire", [b"R&D", b"a&", b"&Jjo!-", b"&AAA-", b"\xff", b"a\tb", b"&2D0-", b"\xc2\x85"[:1]])
def test_impossible_names_are_refused_not_bad(wire: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        names.decode(wire)
    assert (caught.value.status, caught.value.code) == (b"NO", b"CANNOT")


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30))
def test_every_name_survives_the_wire(path: str) -> None:
    assert names.decode(names.encode(path)).casefold() == path.casefold()
    assert answers.mailbox(path).isascii()


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        (b"*", "a/b/c", True),
        (b"%", "a", True),
        (b"%", "a/b", False),
        (b"a/%", "a/b", True),
        (b"a/%", "a", False),
        (b"%/b", "a/b", True),
        (b"a*c", "a/b/c", True),
        (b"a%c", "a/c", False),
        (b"%%*b", "b", True),
        (b"in%", "Inbox", False),
        (b"INB%", "Inbox", True),
        (b"inbox", "Inbox", True),
        (b"inbox*", "Inbox/x", True),
        (b"inboxes", "inboxes", True),
        (b"", "a", False),
        (b"&ZeVnLIqe-", "日本語", True),
    ],
)
def test_patterns(pattern: bytes, path: str, expected: bool) -> None:
    assert names.pattern(b"", pattern).matches(path) is expected


@given(st.text("ab/*%", max_size=8), st.text("ab/", max_size=8))
def test_patterns_are_what_they_seem(pattern: str, path: str) -> None:
    expression = re.sub(r"[*%]", lambda wild: ".*" if wild[0] == "*" else "[^/]*", pattern)
    assert names.pattern(b"", pattern.encode()).matches(path) is (re.fullmatch(expression, path) is not None)


def test_no_pattern_is_slow() -> None:
    hard = names.pattern(b"", b"*a" * 400)
    assert not hard.matches("a" * 250 + "b")


@pytest.mark.parametrize(("numbers", "text"), [([], b""), ([1], b"1"), ([1, 2, 3, 5, 7, 8], b"1:3,5,7:8"), ([4294967295], b"4294967295")])
def test_sets(numbers: list[int], text: bytes) -> None:
    assert sets.render(numbers) == text


def test_dates() -> None:
    assert dates.render(837571465) == b'"17-Jul-1996 02:44:25 +0000"'
    assert dates.parse_time(Scanner(b'"17-Jul-1996 02:44:25 -0700"')) == 837571465 + 7 * 3600
    for wrong in (b'"17-Jul-1996 24:44:25 -0700"', b'"17-Jul-0000 04:44:25 -0700"', b'"17-Jul-1996 04:44:25 -07"'):
        with pytest.raises(Malformed):
            dates.parse_time(Scanner(wrong))


@given(st.integers(-2_000_000_000, 200_000_000_000))
def test_dates_survive_the_wire(seconds: int) -> None:
    assert dates.parse_time(Scanner(dates.render(seconds))) == seconds


@given(st.binary(max_size=50))
def test_strings_survive_the_wire(value: bytes) -> None:
    written = answers.string(value)
    if written.startswith(b'"'):
        assert Scanner(written).quoted() == value
    else:
        assert written == b"{%d}\r\n" % len(value) + value


def test_flags_are_written_by_name() -> None:
    texts = answers.FlagTexts({1 << 6: "blue", 1 << 7: "$Junk"})
    assert texts[0] == b""
    assert texts[1 | 1 << 7 | 1 << 9] == b"\\Seen $Junk"
    assert texts[answers.RECENT | 2] == b"\\Answered \\Recent"
    assert texts.all() == b"\\Seen \\Answered \\Flagged \\Deleted \\Draft blue $Junk"


@pytest.mark.parametrize(
    ("text", "below"),
    [
        ("*", True),
        ("%", False),
        ("Shared/%", False),
        ("%/%/%", True),
        ("INBOX", False),
        ("Shared/a@b.test/I%", True),
        ("Shared/a@b.tes%", False),
        ("*x*/Z", True),
    ],
)
def test_a_pattern_says_whether_it_reaches_below_a_name(text: str, below: bool) -> None:
    assert names.pattern(b"", text.encode()).reaches("Shared/a@b.test") is below


@pytest.mark.parametrize(
    ("written", "name", "shown"),
    [
        (b"Shared/A@B.test/inbox", "Shared/a@b.test/Inbox", b"Shared/a@b.test/INBOX"),
        (b"Shared/A@B.test/Inbox/x", "Shared/a@b.test/Inbox/x", b"Shared/a@b.test/INBOX/x"),
        (b"Shared/A@B.test", "Shared/a@b.test", b"Shared/a@b.test"),
        (b"Shared/a&-b@b.test/&ANw-", "Shared/a&b@b.test/\u00dc", b"Shared/a&-b@b.test/&ANw-"),
        (b"Shared/@/inbox", "Shared/@/Inbox", b"Shared/@/INBOX"),
        (b"Shared/inbox", "Shared/inbox", b"Shared/inbox"),
        (b"shared/A@b.test/inbox", "shared/A@b.test/inbox", b"shared/A@b.test/inbox"),
        (b"Sharedx/A@b.test", "Sharedx/A@b.test", b"Sharedx/A@b.test"),
    ],
)
def test_names_in_the_mailboxes_of_others(written: bytes, name: str, shown: bytes) -> None:
    assert names.decode(written) == name
    assert names.encode(name) == shown
    assert names.pattern(b"", shown).matches(name)
