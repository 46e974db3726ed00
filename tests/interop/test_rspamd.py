"""rspamd and OpenDKIM beside us: what they say of SPF, DKIM and DMARC of letters by the hundred is what we say; rspamd is asked, and learns.

`POSTROOM_TEST_LETTERS` is how many; 1,000 take about a minute.
"""

from __future__ import annotations

import asyncio
import imaplib
import os
import re
import smtplib
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from typing import Any

import msgspec
import pytest

from postroom.mailflow.assessment import Authentication, Result
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.resolver import Resolver
from postroom.mailflow.screening import Arrival, Screening
from postroom.server import findings
from postroom.server.findings import Level
from postroom.server.settings import Settings
from tests.interop import correspondence
from tests.interop.correspondence import Keys, Sent
from tests.interop.knot import Knot
from tests.interop.rspamd import PASSWORD, Rspamd
from tests.interop.tools import need, run
from tests.program import Program, Ready, User, running
from tests.server.served import postroom

COUNT = int(os.environ.get("POSTROOM_TEST_LETTERS", "120"))
SEED = 20_260
NOW = 1_790_000_000.0
SPF = {
    "R_SPF_ALLOW": Result.PASS, "R_SPF_FAIL": Result.FAIL, "R_SPF_SOFTFAIL": Result.SOFTFAIL, "R_SPF_NEUTRAL": Result.NEUTRAL,
    "R_SPF_NA": Result.NONE, "R_SPF_PERMFAIL": Result.PERMERROR, "R_SPF_DNSFAIL": Result.TEMPERROR,
}  # fmt: skip
DKIM = {"R_DKIM_ALLOW": Result.PASS, "R_DKIM_REJECT": Result.FAIL, "R_DKIM_PERMFAIL": Result.PERMERROR, "R_DKIM_TEMPFAIL": Result.TEMPERROR}
DMARC = {
    "DMARC_POLICY_ALLOW": "pass", "DMARC_POLICY_ALLOW_WITH_FAILURES": "pass", "DMARC_POLICY_REJECT": "fail reject",
    "DMARC_POLICY_QUARANTINE": "fail quarantine", "DMARC_POLICY_SOFTFAIL": "fail none", "DMARC_NA": "none", "DMARC_BAD_POLICY": "none",
    "DMARC_DNSFAIL": "temperror",
}  # fmt: skip


class Letter:
    """A letter in memory."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    def read(self) -> bytes:
        return self.octets


@pytest.fixture(scope="module")
def keys() -> Keys:
    return correspondence.keys()


@pytest.fixture(scope="module")
def knot(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[Knot]:
    with Knot(tmp_path_factory.mktemp("knot"), zones=["."]) as knot:
        knot.publish(correspondence.zone(keys))
        yield knot


@pytest.fixture(scope="module")
def rspamd(tmp_path_factory: pytest.TempPathFactory, knot: Knot) -> Iterator[Rspamd]:
    with Rspamd(tmp_path_factory.mktemp("rspamd"), resolver=knot.address) as running:
        yield running


def ours(letters: list[Sent], nameserver: str) -> list[Authentication]:
    """Return what we find out about letters."""
    screening = Screening(resolver=Resolver([nameserver]), hostname="mx.far.example", now=lambda: NOW)

    async def ask() -> list[Authentication]:
        found = []
        for sent in letters:
            arrival = Arrival(sent.client, sent.hello, Envelope(sender=sent.sender, recipients=("x@far.example",)), Letter(sent.raw), 0, len(sent.raw))
            known = (await screening.assess(arrival)).authentication
            assert known
            found.append(known)
        return found

    return asyncio.run(ask())


def theirs(letters: list[Sent], rspamd: Rspamd) -> list[dict[str, Any]]:
    """Return what rspamd finds out about the same letters."""
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(lambda sent: rspamd.check(sent.raw, IP=sent.client, Helo=sent.hello, From=sent.sender, Rcpt="x@far.example"), letters))


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """Sum up an answer of rspamd as our results are summed up."""
    symbols = answer["symbols"]
    signatures = sorted({(option.replace(":s=", " "), str(result)) for symbol, result in DKIM.items() for option in symbols.get(symbol, {}).get("options", ())})
    return {
        "spf": next((str(result) for symbol, result in SPF.items() if symbol in symbols), ""),
        "dkim": signatures,
        "dmarc": next((result for symbol, result in DMARC.items() if symbol in symbols), ""),
    }


def found(known: Authentication) -> dict[str, Any]:
    """Sum up our own results."""
    dmarc = str(known.dmarc.result)
    return {
        "spf": str(known.spf.result),
        "dkim": sorted({(f"{one.domain} {one.selector}", str(one.result)) for one in known.dkim}),
        "dmarc": f"fail {known.dmarc.published}" if dmarc == "fail" else dmarc,
    }


LENIENT_SPF = ("deep.", "lost.", "wrong.")
"""Senders whose records SPF must not follow to the end: more than ten look-ups, an include of nothing, an address that is none (RFC 7208 §4.6, §5.2)."""


def as_rspamd_would_say(sent: Sent, known: dict[str, Any], other: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Rewrite our results where we know rspamd 3.4 to differ, and why; everything else has to be the same."""
    known, why = dict(known), []
    if known["spf"] == "permerror" and (sent.sender.partition("@")[2] or sent.hello).startswith(LENIENT_SPF):
        known["spf"], why = "fail", [*why, "goes on after an error in SPF, to its -all"]
    policies = "".join(correspondence.FAMILIES[sent.family])
    if "policy=reject" in policies:
        known["dmarc"] = other["dmarc"] if other["dmarc"] in ("fail none", "pass") else "another"
        why = [*why, "takes a DMARC record without p= for p=none"]
    elif "p = quarantine" in policies and known["dmarc"] == "fail quarantine":
        known["dmarc"], why = "fail none", [*why, "does not read `p = quarantine`, with blanks"]
    if sent.harm == "body" and known["dkim"] != other["dkim"]:
        known["dkim"] = [(name, "permerror" if name[-2:] in (" x", " v") else result) for name, result in known["dkim"]]
        why = [*why, "asks for the key before it hashes the body"]
    body = sent.raw.partition(b"\r\n\r\n")[2]
    if body.strip(b"\r\n") and not body.strip() and _holds_more(known["dkim"], other["dkim"]):
        known["dkim"], known["dmarc"] = other["dkim"], other["dmarc"]
        why = [*why, "finds something in a relaxed body of nothing but blanks, which OpenDKIM and dkimpy do not"]
    return known, why


def _holds_more(ours: list[tuple[str, str]], theirs: list[tuple[str, str]]) -> bool:
    """Say whether they differ in signatures alone that hold for us and fail for them."""
    return {name for name, _ in ours} == {name for name, _ in theirs} and {result for _, result in set(ours) - set(theirs)} == {"pass"}


def test_rspamd_says_of_who_sent_letters_what_we_say(rspamd: Rspamd, knot: Knot, keys: Keys) -> None:
    letters = list(correspondence.letters(SEED, COUNT, keys, NOW))
    reasons: Counter[str] = Counter()
    unexplained = []
    for sent, known, answer in zip(letters, ours(letters, knot.address), theirs(letters, rspamd), strict=True):
        expected, why = as_rspamd_would_say(sent, found(known), told(answer))
        reasons.update(why if found(known) != told(answer) else ["the same"])
        if expected != told(answer):
            unexplained.append((sent.said, expected, told(answer)))
    print(f"{COUNT} letters:", *(f"{number} {reason}" for reason, number in reasons.most_common()), sep="\n  ")
    assert not unexplained, unexplained[:5]
    assert reasons["the same"] > COUNT / 2


def test_opendkim_says_of_signatures_what_we_say(tmp_path: Path, knot: Knot, keys: Keys) -> None:
    """Left out is where a record is missing, since it has the whole letter come again then, and headers signed as they are (`simple`), since
    its test mode, like a milter, does not see the blanks behind a field's colon.
    """
    program = need("opendkim", "opendkim")
    signed = [sent for sent in correspondence.letters(SEED, COUNT, keys, NOW) if sent.signatures]
    letters = [sent for sent in signed if ":x:" not in sent.said and ":simple/" not in sent.said]
    names = [f"_domainkey.{host}{family}.example" for family in correspondence.FAMILIES for host in ("", "four.")]
    records = [(f"{selector}.{name}", text) for name in names for selector, text in keys.records.items()]
    (tmp_path / "keys").write_text("".join(f"{name} {text}\n" for name, text in records))
    (tmp_path / "conf").write_text(f"Mode v\nTestDNSData {tmp_path}/keys\nSyslog no\n")
    for sent in letters:
        (tmp_path / f"{sent.number}.eml").write_bytes(sent.raw)
    files = [f"{tmp_path}/{sent.number}.eml" for sent in letters]
    done = subprocess.run([program, "-x", str(tmp_path / "conf"), "-vv", "-t", ",".join(files)], capture_output=True, text=True, check=False)
    said = re.split(r"^opendkim: \S+/(\d+)\.eml: .*\n", done.stdout, flags=re.MULTILINE)
    passed = {
        int(number): sorted(re.findall(r"dkim=pass .*?header\.d=(\S+) .*?header\.s=(\S+)", block)) for block, number in zip(said[::2], said[1::2], strict=False)
    }
    for sent, known in zip(letters, ours(letters, knot.address), strict=True):
        good = sorted((one.domain, one.selector) for one in known.dkim if one.result is Result.PASS)
        assert passed[sent.number] == good, (sent.said, passed[sent.number], good)
    print(f"{len(letters)} signed letters, {sum(map(len, passed.values()))} signatures hold")


GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
CONFIGURATION = """\
data = "."
[api]
listen = ["127.0.0.1:8080"]
[smtp]
listen = ["127.0.0.1:2525"]
trusted_networks = []
[submission]
listen = ["127.0.0.1:2587"]
listen_tls = ["127.0.0.1:2465"]
[imap]
listen = ["127.0.0.1:2143"]
listen_tls = ["127.0.0.1:2993"]
[mail]
hostname = "mx.demo.postroom.test"
[dns]
nameservers = ["{resolver}"]
[domains]
verify = false
[filters.rspamd]
address = "{address}"
controller = "127.0.0.1:{controller}"
password = "{password}"
unavailable = "defer"
reject = {reject}
"""


def serving(folder: Path, rspamd: Rspamd, knot: Knot, *, reject: str) -> Program:
    """Start the demo with this rspamd."""
    (folder / "data").mkdir()
    told = CONFIGURATION.format(resolver=knot.address, address=rspamd.address, controller=rspamd.controller, password=PASSWORD, reject=reject)
    (folder / "data" / "postroom.toml").write_text(told)
    return Program(["demo", "--data", str(folder / "data"), "--any-ports"], folder)


def letter(user: User, text: str) -> str:
    name = uuid.uuid4().hex
    date = formatdate(usegmt=True)
    return f"From: Friend <m@plain.example>\r\nTo: {user.email}\r\nSubject: {name}\r\nDate: {date}\r\nMessage-ID: <{name}@plain.example>\r\n\r\n{text}\r\n"


def bring(ready: Ready, user: User, text: str) -> str:
    """Bring a letter as a stranger does; gives its subject."""
    raw = letter(user, text)
    with smtplib.SMTP(*ready.smtp, local_hostname="client.example", timeout=60) as client:
        client.sendmail("m@plain.example", [user.email], raw)
    return raw.partition("Subject: ")[2].partition("\r\n")[0]


def lying(client: imaplib.IMAP4, folder: str) -> list[str]:
    """List the subjects in a folder."""
    client.select(f'"{folder}"')
    numbers = client.search(None, "ALL")[1][0].split()
    return [client.fetch(number.decode(), "(BODY[HEADER.FIELDS (SUBJECT)])")[1][0][1].decode().split()[1] for number in numbers]  # type: ignore[index,union-attr]


def test_what_rspamd_rejects_is_refused_and_ham_passes(tmp_path: Path, rspamd: Rspamd, knot: Knot) -> None:
    swaks = need("swaks", "swaks")
    with running(serving(tmp_path, rspamd, knot, reject="true")) as program:
        user, (host, port) = program.ready.users[0], program.ready.smtp
        command = [swaks, "--server", f"{host}:{port}", "--helo", "client.example", "--from", "m@plain.example", "--to", user.email, "--data", "-"]
        spam, ham = (run(command, stdin=letter(user, text).encode()).stdout.decode() for text in (GTUBE, "Shall we have lunch at noon?"))
        with imaplib.IMAP4_SSL(*program.ready.imaps, ssl_context=program.ready.tls()) as client:
            client.login(user.email, user.password)
            assert (len(lying(client, "INBOX")), len(lying(client, "Junk Email"))) == (1, 0)
    assert re.search(r"^<\*\* 550 5\.7\.1 .*Gtube pattern$", spam, re.MULTILINE), spam
    assert re.search(r"^<-  250 2\.", ham.partition("-> .")[2], re.MULTILINE), ham


def test_rspamd_learns_from_what_is_moved_into_junk_and_out_of_it(tmp_path: Path, rspamd: Rspamd, knot: Knot) -> None:
    with running(serving(tmp_path, rspamd, knot, reject="false")) as program:
        user, config = program.ready.users[0], tmp_path / "data" / "postroom.toml"

        def teach() -> int:
            return postroom(config, "jobs", "run", "teach-filters").returncode

        assert teach() == 0  # as it does within a minute by itself, and from then on it is noted who moves what
        before = rspamd.learned()
        in_junk = bring(program.ready, user, GTUBE)
        offers = [bring(program.ready, user, f"Unbelievable pills number {at}, cheaper than ever, order today without any prescription") for at in range(3)]
        with imaplib.IMAP4_SSL(*program.ready.imaps, ssl_context=program.ready.tls()) as client:
            client.login(user.email, user.password)
            assert lying(client, "Junk Email") == [in_junk]
            client.append('"Junk Email"', None, None, letter(user, "The minutes of our meeting on the new roof are ready for you to read").encode())
            assert sorted(lying(client, "INBOX")) == sorted(offers)
            client._simple_command("MOVE", "1:2", '"Junk Email"')
            client.copy("1", '"Junk Email"')
            client.select('"Junk Email"')
            client._simple_command("MOVE", "2", "INBOX")
        assert teach() == 0
        learned = {kind: number - before[kind] for kind, number in rspamd.learned().items()}
        assert learned == {"all": 4, "spam": 3, "ham": 1}
        assert teach() == 0
        assert rspamd.learned()["all"] - before["all"] == 4


def test_check_finds_a_controller_that_takes_another_password(rspamd: Rspamd) -> None:
    def looked(password: str) -> list[tuple[Level, str]]:
        told = {"address": rspamd.address, "controller": f"127.0.0.1:{rspamd.controller}", "password": password}
        settings = msgspec.convert({"filters": {"rspamd": told}}, Settings)
        return [(finding.level, finding.text) for finding in findings.of_filters(settings)]

    assert [level for level, _ in looked(PASSWORD)] == [Level.GOOD, Level.GOOD]
    assert looked("another")[1] == (Level.WARNING, "its controller takes another password")
