"""Pigeonhole, the Sieve of Dovecot, decides about the same letters by the same scripts: both come to the same actions.

Left out is where Pigeonhole 0.5.19 errs: a pattern that begins with `?` and has a star matches anything, and `date :index 2` reads the first field.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from postroom.formats.sieve import script as language
from postroom.mailflow.sieve import interpreter
from postroom.mailflow.sieve.letter import Letter
from postroom.mailflow.sieve.machine import Circumstances
from tests.interop.tools import need

SENDER, RECIPIENT = "bob+news@Far.test", "alice+lists@example.test"
CONFIGURATION = """\
mail_location = maildir:~/mail
mail_home = {home}
mail_uid = 65534
mail_gid = 65534
first_valid_uid = 1
ssl = no
plugin {{
  sieve_extensions = +editheader +vacation-seconds +special-use
}}
"""
REQUIRE = (
    'require ["fileinto", "copy", "envelope", "imap4flags", "body", "relational", "subaddress", "variables", "editheader", "date", "index",'
    ' "encoded-character", "comparator-i;ascii-numeric", "vacation", "vacation-seconds", "reject"];\n'
)

PLAIN = b"""\
Return-Path: <bob+news@Far.test>
Received: from a by b; Mon, 30 Mar 2026 23:30:05 -0500
Received: from c by d; Mon, 30 Mar 2026 20:00:00 +0000
From: "Bob, the Builder" <Bob+News@Far.Test>
To: Alice <alice@example.test>, carol@example.test
Cc: team: dave@third.test, eve@third.test;
Subject: [list] Offer: 50% off *everything*
Date: Tue, 31 Mar 2026 06:30:05 +0200
X-Number: 17
X-Number: 4
X-Empty:
X-Folded: one
 two
Message-ID: <1@far.test>

The quick brown fox
jumps over the lazy dog.
"""
MULTIPART = b"""\
From: =?utf-8?q?J=C3=BCrgen?= <jurgen@far.test>
To: undisclosed-recipients:;
Subject: =?iso-8859-1?Q?Gr=FC=DFe?= =?utf-8?b?IGF1cyBCZXJsaW4=?=
Date: Thu, 1 Jan 2026 00:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: base64

SGVsbG8gd29ybGQ=
--b
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<p>H=C3=A4llo <b>bold</b></p>
--b
Content-Type: application/octet-stream

binary secret
--b--
"""
BARE = b"From: x@y.test\nSubject:\n\n"
LETTERS = {"plain": PLAIN, "multipart": MULTIPART, "bare": BARE}

TESTS = [
    'header :is "subject" ""',
    'header "x-empty" ""',
    'header :contains "subject" "offer"',
    'header :contains ["to", "cc"] ["nobody", "EVE"]',
    'header :comparator "i;octet" :contains "subject" "offer"',
    'header :matches "subject" "[*] *: *"',
    'header :matches "subject" "*\\\\*everything\\\\*"',
    'header :matches "subject" "*o*o*o*o*z"',
    'header :is "x-folded" "one two"',
    'header :is "subject" "Grüße aus Berlin"',
    'header :contains "from" "jürgen"',
    'header :count "eq" "x-number" "2"',
    'header :count "gt" "x-number" "1"',
    'header :value "gt" :comparator "i;ascii-numeric" "x-number" "9"',
    'header :value "lt" :comparator "i;ascii-numeric" "x-number" "9"',
    'header :value "gt" "subject" "a"',
    'header :comparator "i;ascii-numeric" :is "x-number" "0017"',
    'header :index 2 "x-number" "4"',
    'header :index 1 :last "x-number" "4"',
    'header :index 3 "x-number" "4"',
    "header :is :comparator \"i;ascii-casemap\" \"Subject\" \"GRüSSE AUS BERLIN\"",
    'address :is "from" "bob+news@far.test"',
    'address :localpart "from" "bob+news"',
    'address :domain "from" "far.test"',
    'address :user "from" "bob"',
    'address :detail "from" "news"',
    'address :detail "to" ""',
    'address :domain :matches ["to", "cc"] "*.test"',
    'address :all :is "cc" "eve@third.test"',
    'address :count "ge" "to" "2"',
    'address :count "eq" ["to", "cc"] "4"',
    'envelope "from" "bob+news@far.test"',
    'envelope :domain "from" "FAR.TEST"',
    'envelope :detail "to" "lists"',
    'envelope :user "to" "alice"',
    'envelope :localpart :matches "to" "alice*"',
    'exists "x-empty"',
    'exists ["from", "x-none"]',
    "size :over 100",
    "size :under 100",
    "size :over 1K",
    'not exists "x-none"',
    'allof (true, not false, exists "from")',
    'anyof (false, exists "x-none", size :over 1)',
    'body :contains "quick"',
    'body :raw :contains "SGVsbG8"',
    'body :text :contains "hello world"',
    'body :text :contains "bold"',
    'body :content "text" :contains "hällo"',
    'body :content "text/plain" :contains "hällo"',
    'body :content "application" :contains "secret"',
    'body :matches "*fox*dog.*"',
    'string :is "${x}" ""',
    'string :matches "abc" "a?c"',
    'date "date" "date" "2026-03-31"',
    'date :zone "+0000" "date" "hour" "04"',
    'date :originalzone "date" "hour" "06"',
    'date :originalzone "date" "zone" "+0200"',
    'date :zone "-0500" "date" "date" "2026-03-30"',
    'date :zone "+0000" "date" "weekday" "2"',
    'date :zone "+0000" "date" "julian" "61130"',
    'date :zone "+0000" "date" "iso8601" "2026-03-31T04:30:05Z"',
    'date :zone "+0000" "date" "std11" "Tue, 31 Mar 2026 04:30:05 +0000"',
    'date :zone "+0000" "date" "time" "04:30:05"',
    'date :index 1 :zone "+0000" "received" "hour" "04"',
    'date :value "ge" :zone "+0000" "date" "year" "2026"',
    'currentdate :value "ge" "year" "2025"',
    'currentdate :matches "month" "??"',
    'header :contains "subject" "${hex: 4f 66}fer"',
    'header :contains "from" "j${unicode: 00fc}rgen"',
    'header :contains "x-none" ""',
    'header :matches "x-none" "*"',
    'address :matches "to" "*@*"',
]

ACTIONS = [
    "keep;",
    "discard;",
    "stop; discard;",
    'fileinto "a";',
    'fileinto "a"; fileinto "a"; keep;',
    'fileinto "a"; fileinto "b";',
    'fileinto :copy "a";',
    'fileinto :flags "\\\\Flagged" "a";',
    'setflag "\\\\Seen"; keep;',
    'setflag ["\\\\Seen", "one two"]; removeflag "one"; fileinto "a"; addflag "three"; keep;',
    'keep :flags ["a", "b"];',
    'setflag "x"; keep :flags "";',
    'addflag "var" ["a", "b"]; if hasflag "var" "B" { keep :flags "${var}"; }',
    'set "f" "deep/${er}"; fileinto "${f}x";',
    'if header :matches "subject" "[*] *" { fileinto "l.${1}"; } else { fileinto "none"; }',
    'if header :matches "subject" "*o*" { set :lower :upperfirst "v" "${1}AB"; fileinto "${v}"; }',
    'set :length "n" "four"; set :quotewildcard "q" "a*b?c"; fileinto "${n} ${q}";',
    'set :upper :lowerfirst "v" "hello"; fileinto "${v}";',
    'redirect "a@b.test";',
    'redirect :copy "a@b.test";',
    'redirect "a@b.test"; redirect "a@b.test"; redirect "c@d.test"; keep;',
    'if false { keep; } elsif exists "subject" { discard; } else { fileinto "z"; }',
    'if true { fileinto "one"; } if false { fileinto "two"; } else { fileinto "three"; }',
    'reject "go away";',
    'fileinto "ä/${unicode: 00f6}";',
    'if not anyof (not true, false) { addflag "deep"; }',
    'set "a" "x"; set "b" "${a}${a}"; set "c" "${b}${b}"; fileinto "${c}${0}${9}";',
    'if string :matches "one-two-three" "*-*" { fileinto "${1}+${2}"; }',
    'if string :matches :comparator "i;octet" "aXbXc" "?*X*" { fileinto "${1}+${2}+${3}"; }',
    'vacation "away";',
    'vacation :days 3 "away"; discard;',
    'addheader "X-New" "one"; if header "x-new" "one" { fileinto "edited"; }',
    'deleteheader "x-number"; if not exists "x-number" { fileinto "gone"; }',
    'deleteheader :index 1 "x-number"; if header :count "eq" "x-number" "1" { fileinto "one left"; }',
    'deleteheader :contains "x-number" "7"; if header :is "x-number" "4" { fileinto "four"; }',
]

BROKEN = [
    "keep", "if true keep;", "foo;", 'require "no-such";', 'fileinto "a";', "if header { keep; }", 'keep "a";', "else { keep; }", 'if "a" { keep; }',
    'require "fileinto"; fileinto;', 'require "fileinto"; fileinto ["a", "b"];', "if not { keep; }", "if size 10 { keep; }", 'stop "a";',
    'keep; require "copy";', 'redirect "no address";', 'if header :is :contains "a" "b" { keep; }', 'if header :foo "a" "b" { keep; }',
    'if header :comparator "i;nothing" "a" "b" { keep; }', "if allof() { keep; }", 'require "relational"; if header :count "xx" "a" "1" { keep; }',
    'if true { keep; ', "/* open", 'redirect "open;',
    'require "envelope"; if envelope "subject" "a" { keep; }', 'require "index"; if header :last "a" "b" { keep; }',
    'require "variables"; set "1a" "b";', 'require "variables"; set :lower :upper "a" "b";', 'keep; }',
]  # fmt: skip


@pytest.fixture(scope="module")
def oracle() -> Iterator[Path]:
    """A folder that Pigeonhole, which gives up root, can read."""
    need("sieve-test", "dovecot-sieve")
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "home").mkdir()
        folder.chmod(0o777)
        (folder / "home").chmod(0o777)
        (folder / "dovecot.conf").write_text(CONFIGURATION.format(home=folder / "home"))
        yield folder


Actions = tuple[frozenset[tuple[str, frozenset[str]]], frozenset[str], bool, bool]


def theirs(folder: Path, text: str, raw: bytes) -> Actions:
    (folder / "script.sieve").write_text(text)
    (folder / "letter").write_bytes(raw)
    done = subprocess.run(
        ["sieve-test", "-c", folder / "dovecot.conf", "-f", SENDER, "-r", RECIPIENT, "-a", RECIPIENT, folder / "script.sieve", folder / "letter"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + text
    told = re.sub(r"START MESSAGE.*?END MESSAGE", "", done.stdout, flags=re.DOTALL)
    filed = {
        ("" if name == "INBOX" else name, frozenset(flags.lower().split()))
        for name, flags in re.findall(r" \* store message in folder: ([^\n]+)(?:\n +\+ preserve implicit keep)?(?:\n +\+ add IMAP flags:([^\n]*))?", told)
    }
    redirected = set(re.findall(r" \* redirect message to: <([^>]+)>", told))
    return frozenset(filed), frozenset(redirected), " * send vacation" in told, " * reject" in told


def ours(text: str, raw: bytes) -> Actions:
    crlf = raw.replace(b"\n", b"\r\n")
    outcome = interpreter.run(language.read(text.encode()), Letter(lambda: crlf, len(crlf)), Circumstances(SENDER, RECIPIENT, 1_800_000_000.0))
    assert not outcome.failure, outcome.failure + text
    filed = {(filing.path, frozenset(flag.lower() for flag in filing.flags)) for filing in outcome.filings}
    return frozenset(filed), frozenset(outcome.redirects), outcome.vacation is not None, outcome.refusal is not None


@pytest.mark.parametrize("letter", LETTERS)
def test_both_find_the_same_tests_true(oracle: Path, letter: str) -> None:
    """Every test that is true sets a flag of its own; Pigeonhole's word counts."""
    text = REQUIRE + "".join(f'if {test} {{ addflag "t{number:02}"; }}\n' for number, test in enumerate(TESTS))
    found = [{int(flag[1:]) for _, flags in actions[0] for flag in flags} for actions in (_many(text, letter, oracle))]
    assert [TESTS[number] for number in sorted(found[0] ^ found[1])] == []
    assert len(found[0]) >= {"plain": 45, "multipart": 15, "bare": 8}[letter]


def _many(text: str, letter: str, oracle: Path) -> list[Actions]:
    """Ask for thirty tests at a time, since a letter has so many flags and no more."""
    lines = text.removeprefix(REQUIRE).splitlines()
    totals: list[Actions] = []
    for ask in (lambda part: theirs(oracle, part, LETTERS[letter]), lambda part: ours(part, LETTERS[letter])):
        answers = [ask(REQUIRE + "\n".join(lines[at : at + 30])) for at in range(0, len(lines), 30)]
        totals.append((frozenset().union(*(answer[0] for answer in answers)), frozenset(), False, False))
    return totals


@pytest.mark.parametrize("number", range(len(ACTIONS)))
def test_both_do_the_same(oracle: Path, number: int) -> None:
    for letter in LETTERS.values():
        text = REQUIRE + ACTIONS[number]
        assert ours(text, letter) == theirs(oracle, text, letter), text


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_both_refuse_the_same(oracle: Path, number: int) -> None:
    path = oracle / "broken.sieve"
    path.write_text(BROKEN[number])
    need("sievec", "dovecot-sieve")
    done = subprocess.run(["sievec", "-c", oracle / "dovecot.conf", path, oracle / "out"], capture_output=True, text=True, check=False)
    assert done.returncode != 0, "Pigeonhole takes it"
    with pytest.raises(language.NoScript):
        language.read(BROKEN[number].encode())
