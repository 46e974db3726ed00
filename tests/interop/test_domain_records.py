"""`postroom check domain` beside Knot: what it says to paste into a zone is what is missing, and each record that is wrong is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from postroom.directory import dkim, domains
from postroom.directory.domains import Targets
from postroom.jobs.dkim import make_keys
from postroom.model.organizations import Organization
from postroom.server.certificates import local
from postroom.server.dns import domain_looks
from postroom.server.dns.domain_looks import Situation
from postroom.server.dns.expectations import Look
from postroom.server.dns.lookups import Lookups
from postroom.server.settings import Settings
from postroom.storage.engine import Store
from tests.interop.knot import Knot, validator
from tests.program import Program, running
from tests.server.served import configured, eventually, postroom, workmail

NAME, HOST = "letters.test", "mail.lab.test"
TARGETS = Targets(HOST, HOST, f"_spf.{HOST}", f"dkim.{HOST}")
SETTINGS = msgspec.convert({"mail": {"hostname": HOST}, "smtp": {"listen": ["192.0.2.25:25"]}, "mta_sts": {"mode": "enforce"}}, Settings)


@pytest.fixture
def knot(tmp_path: Path) -> Iterator[Knot]:
    folder = tmp_path / "knot"
    folder.mkdir()
    with Knot(folder) as running_knot:
        yield running_knot


def test_what_it_says_to_paste_is_all_there_is_to_do(tmp_path: Path, knot: Knot) -> None:
    config = configured(tmp_path, f'[dns]\nnameservers = ["{knot.address}"]\n')

    def check(*arguments: str) -> tuple[int, str]:
        done = postroom(config, "check", "domain", *arguments)
        return done.returncode, done.stdout

    with running(Program(["serve", "--config", str(config)], tmp_path / "run")) as program:
        client = workmail(program)
        organization = client.create_organization(Alias="letters")["OrganizationId"]
        here = {"OrganizationId": organization, "DomainName": NAME}
        client.register_mail_domain(**here)
        assert postroom(config, "domains", "keys", NAME).returncode == 0  # so that there are keys
        lines: list[str] = []
        for _ in range(3):  # that a name has an address comes before whether the address has a name
            status, printed = check(NAME, "--json")
            told = json.loads(printed)
            assert told["domain"] == NAME
            wrong = [one for one in told["records"] if one["needed"] and not one["right"]]
            assert (status, told["right"]) == (int(bool(wrong)), not wrong)
            pasted = [line for one in told["records"] for line in one["paste"] if line not in lines]
            if not pasted:
                break
            lines += pasted
            knot.publish(lines)
        assert (status, told["right"]) == (0, True), told
        assert [one["subject"] for one in told["records"] if not one["right"]] == ["MTA-STS"]  # there is no policy
        client.register_mail_domain(**here)  # asks DNS at once
        eventually(lambda: client.get_mail_domain(**here)["OwnershipVerificationStatus"] == "VERIFIED")
        assert client.get_mail_domain(**here)["DkimVerificationStatus"] == "VERIFIED"
        text = postroom(config, "check", "domain", NAME).stdout
        assert re.search(rf"^ok       MX: {NAME} MX 10 {HOST}$", text, re.MULTILINE)
        assert text.endswith("All that is needed is right.\n")


ON_ONE_ENGINE = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.fixture
def situation(store: Store, organization: Organization) -> Situation:
    with store.transaction(organization.number) as tx:
        domain = domains.register(tx, NAME)
    while make_keys(store, organization.number):
        pass
    with store.transaction(organization.number, write=False) as tx:
        return Situation(domain, dkim.records(tx, domain, TARGETS), SETTINGS, TARGETS, None, store.now())


def looked(situation: Situation, nameserver: str, *, validating: bool = False) -> list[Look]:
    return list(domain_looks.look(situation, Lookups([nameserver], validating=validating)))


def published(situation: Situation, knot: Knot) -> list[str]:
    """Publish what is missing until nothing is."""
    lines = [f"mta-sts.{NAME}. A 192.0.2.80"]
    knot.publish(lines)
    while missing := [line for look in looked(situation, knot.address) for line in look.paste]:
        lines += missing
        knot.publish(lines)
    return lines


Change = Callable[[list[str]], list[str]]


def without(pattern: str) -> Change:
    return lambda lines: [line for line in lines if not re.match(pattern, line)]


def instead(pattern: str, text: str) -> Change:
    return lambda lines: [re.sub(pattern, text, line) for line in lines]


def beside(*more: str) -> Change:
    return lambda lines: [*lines, *more]


WRONG: dict[str, tuple[Change, str, str]] = {
    "no owner": (without("_amazonses"), "ownership", ""),
    "another's token": (instead(r'(_amazonses\S+ TXT) ".*"', r'\1 "theirs"'), "ownership", ""),
    "no MX": (without(rf"{NAME}. MX"), "MX", ""),
    "MX elsewhere": (instead(rf"^({NAME}. MX) .*", r"\1 5 mx.elsewhere.test."), "MX", "mx.elsewhere.test"),
    "no SPF": (without(rf"{NAME}. TXT"), "SPF", ""),
    "two SPF": (beside(f'{NAME}. TXT "v=spf1 -all"'), "SPF", "several"),
    "SPF of another": (instead(rf'^({NAME}. TXT) ".*"', r'\1 "v=spf1 ip4:192.0.2.99 -all"'), "SPF", "192.0.2.25: fail"),
    "no SPF of ours": (without("_spf"), "SPF of this server", ""),
    "SPF of ours, old": (instead(r"ip4:192.0.2.25", "ip4:192.0.2.24"), "SPF of this server", "192.0.2.25: fail"),
    "no CNAME": (without(r"\w{32}._domainkey"), "DKIM", ""),
    "CNAME elsewhere": (instead(r"(_domainkey\S+ CNAME \w+).dkim", r"\1.elsewhere"), "DKIM", ""),
    "no keys": (without(r"\w{32}\.dkim"), "DKIM key", ""),
    "another key": (instead(r"p=MIIB", "p=MIIC"), "DKIM key", ""),
    "no DMARC": (without("_dmarc"), "DMARC", ""),
    "DMARC broken": (instead(r'(_dmarc\S+ TXT) ".*"', r'\1 "v=DMARC1; policy=reject"'), "DMARC", "not one policy"),
    "two DMARC": (beside(f'_dmarc.{NAME}. TXT "v=DMARC1; p=none"'), "DMARC", "not one policy"),
    "no host": (without(rf"{HOST}. A "), "host", ""),
    "no PTR": (without(r"25\.2\.0\.192"), "PTR", ""),
    "PTR of another": (instead(r"(\S+arpa. PTR) .*", r"\1 pool-25.test."), "PTR", "leads back"),
}
"""What is changed, of what it must be told, and in which words."""
FINE: dict[str, tuple[Change, str, str]] = {
    "backup MX": (beside(f"{NAME}. MX 20 mx.elsewhere.test."), "MX", "mx.elsewhere.test"),
    "SPF in other words": (instead(rf'^({NAME}. TXT) ".*"', r'\1 "v=spf1 mx -all"'), "SPF", ""),
    "DMARC of the owner": (instead(r'(_dmarc\S+ TXT) ".*"', r'\1 "v=DMARC1; p=none"'), "DMARC", "p=none"),
    "another name that leads back": (
        lambda lines: [*instead(r"(\S+arpa. PTR) .*", r"\1 out.test.")(lines), "out.test. A 192.0.2.25"],
        "PTR",
        f"calls itself {HOST}",
    ),
    "autodiscover by SRV": (
        lambda lines: [*without("autodiscover")(lines), f"_autodiscover._tcp.{NAME}. SRV 0 0 443 {HOST}."],
        "autodiscover",
        "SRV",
    ),
}
WORSE: dict[str, tuple[Change, str, str]] = {
    "no autodiscover": (without("autodiscover"), "autodiscover", ""),
    "SRV to another port": (instead(" 0 1 993 ", " 0 1 994 "), "SRV", ""),
    "SRV for no service": (beside(f"_caldavs._tcp.{NAME}. SRV 0 1 443 {HOST}."), "SRV", "no such service"),
    "MTA-STS without its host": (without("mta-sts"), "MTA-STS", "no address"),
    "MTA-STS of another policy": (instead("v=STSv1; id=", "v=STSv1; id=0"), "MTA-STS", "does not announce the policy"),
    "MTA-STS broken": (instead("v=STSv1; id=", "v=STSv1; is="), "MTA-STS", "not one record"),
    "reports nowhere": (instead("rua=mailto:postmaster", "rua=postmaster"), "TLS reports", ""),
}
"""What mail comes and goes without."""


@ON_ONE_ENGINE
def test_each_record_that_is_wrong_is_told_and_no_other(situation: Situation, knot: Knot) -> None:
    lines = published(situation, knot)
    assert all(look.right for look in looked(situation, knot.address))
    for name, (change, subject, words) in {**WRONG, **FINE, **WORSE}.items():
        changed = change(lines)
        assert changed != lines, name
        knot.publish(changed)
        looks = looked(situation, knot.address)
        told = {look.subject for look in looks if not look.right}
        assert told == (set() if name in FINE else {subject}), (name, looks)
        about = [look for look in looks if look.subject == subject and words in look.remark and (look.right == (name in FINE))]
        assert about, (name, looks)
        assert all(look.needed == (name in WRONG) for look in about if not look.right), name
        if name in WRONG:
            assert all(look.paste for look in about), name


@ON_ONE_ENGINE
def test_a_silent_name_server_is_no_proof(situation: Situation, knot: Knot) -> None:
    published(situation, knot)
    lookups = Lookups([knot.address])
    records = lookups.records

    def silent(name: str, kind: str) -> list[str]:
        if kind == "MX":
            lookups._resolver.lifetime = 0.05
            lookups._resolver.nameservers = ["192.0.2.1"]
        return records(name, kind)

    lookups.records = silent  # type: ignore[method-assign]
    looks = list(domain_looks.look(situation, lookups))
    assert next(look.subject for look in looks if not look.right) == "MX"
    assert "no name server answered" in next(look.remark for look in looks if look.subject == "MX")


@ON_ONE_ENGINE
def test_tlsa_records_are_held_against_our_certificate_where_dnssec_proves_them(situation: Situation, tmp_path: Path) -> None:
    folder = tmp_path / "signed"
    folder.mkdir()
    known = Situation(situation.domain, situation.keys, SETTINGS, TARGETS, local(tmp_path / "tls", [HOST]), situation.now)

    with Knot(folder, signing=True) as knot:

        def tlsa(*lines: str) -> Look:
            knot.publish([f"{HOST}. A 192.0.2.25", *lines])
            with validator(knot, folder) as resolver:
                return next(look for look in looked(known, resolver, validating=True) if look.subject == "TLSA")

        absent = tlsa()
        right = tlsa(*absent.paste)
        wrong = tlsa(f"_25._tcp.{HOST}. TLSA 3 1 1 {'00' * 32}")
    assert (absent.right, absent.needed) == (False, False)
    assert re.fullmatch(rf"_25._tcp.{HOST}. TLSA 3 1 1 [0-9a-f]{{64}}", absent.paste[0])
    assert (right.right, right.remark) == (True, "")
    assert (wrong.right, wrong.needed) == (False, True)
    assert "deliver nothing" in wrong.remark


@ON_ONE_ENGINE
def test_tlsa_records_that_nothing_proves_have_no_say(situation: Situation, knot: Knot, tmp_path: Path) -> None:
    knot.publish([f"{HOST}. A 192.0.2.25", f"_25._tcp.{HOST}. TLSA 3 1 1 {'00' * 32}"])
    known = Situation(situation.domain, situation.keys, SETTINGS, TARGETS, local(tmp_path / "tls", [HOST]), situation.now)
    look = next(look for look in looked(known, knot.address, validating=True) if look.subject == "TLSA")
    assert (look.right, look.remark) == (True, "DNSSEC does not prove it, so no sender looks at it")
    assert not any(look.subject == "TLSA" for look in looked(known, knot.address))
