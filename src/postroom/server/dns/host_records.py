"""What the operator publishes: addresses of this server and the way back from them, its SPF record, DKIM keys, and TLSA records."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import dns.reversename
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from postroom.directory import dkim
from postroom.directory.domains import Record, Targets
from postroom.mailflow.assessment import Result
from postroom.mailflow.authentication import iprev
from postroom.mailflow.outbound import dane
from postroom.mailflow.tlsa import END_ENTITY, Tlsa
from postroom.server.certificates import Files
from postroom.server.dns import mail_records
from postroom.server.dns.expectations import Expectation, Judgement, contains, of_record
from postroom.server.dns.lookups import Lookups

PORT = 25


def addresses(host: str, lookups: Lookups) -> list[str]:
    """List the addresses of a host, IPv4 first; raises NoAnswer."""
    return [address for kind in ("A", "AAAA") for address in lookups.records(host, kind)]


def host(name: str, lookups: Lookups, listening: Sequence[str]) -> Expectation:
    """Expect an address for a name of this server, which must not be another's name (RFC 2181 §10.3)."""

    def judge(found: Sequence[str]) -> Judgement:
        alias = lookups.records(name, "CNAME")
        if alias:
            return Judgement(False, f"it is an alias of {alias[0]}, which an MX must not lead to")
        return Judgement(bool(found or lookups.records(name, "AAAA")))

    lines = tuple(Record("AAAA" if ":" in address else "A", name, address).line for address in listening)
    return Expectation("host", name, "A", ", ".join(listening) or "an address of this server", judge, lines)


def pointer(address: str, name: str, lookups: Lookups) -> Expectation:
    """Expect a name for an address, and that it leads back (RFC 8601 §3)."""

    def judge(found: Sequence[str]) -> Judgement:
        result, shown = lookups.evaluate(iprev.check(address))
        if result is not Result.PASS:
            return Judgement(False, f"none of its names leads back to {address}" if found else "")
        return Judgement(True, "" if shown.lower() == name.lower() else f"this server calls itself {name}")

    return of_record("PTR", Record("PTR", dns.reversename.from_address(address).to_text().rstrip("."), name), judge)


def sender_policy(targets: Targets, found: Sequence[str], lookups: Lookups, now: float) -> Expectation:
    """Expect the SPF record that those of mail domains include to let all addresses of this server send."""
    ways = " ".join(f"ip6:{address}" if ":" in address else f"ip4:{address}" for address in found)
    record = Record("TXT", targets.spf_include, f"v=spf1 {ways or f'a:{targets.mail_host}'} -all")
    judge = mail_records.lets_send(targets.spf_include, found, lookups, now)
    return of_record("SPF of this server", record, judge, prefix=mail_records.SPF)


def keys(records: Sequence[Record]) -> list[Expectation]:
    """Expect each DKIM key where the CNAME of its selector leads; those of Ed25519 are not needed."""
    return [of_record("DKIM key", record, contains(record.value), needed=not _is_beside(record)) for record in records]


def certificates(name: str, files: Files, lookups: Lookups) -> Expectation:
    """Expect TLSA records, where DNSSEC proves them, to fit the certificate that this server shows; none is needed (RFC 7672 §3.1)."""
    chain = x509.load_pem_x509_certificates(files.certificate.read_bytes())
    spki = chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    record = Record("TLSA", f"_{PORT}._tcp.{name}", str(Tlsa(END_ENTITY, 1, 1, hashlib.sha256(spki).digest())))
    shown = [one.public_bytes(Encoding.DER) for one in chain]

    def judge(found: Sequence[str]) -> Judgement:
        if not any(lookups.proved(name, kind) for kind in ("A", "AAAA")) or (found and not lookups.proved(record.hostname, "TLSA")):
            return Judgement(True, "DNSSEC does not prove it, so no sender looks at it")
        usable = dane.usable(map(_tlsa, found))
        if not usable:
            return Judgement(False, "none that can be used" if found else "")
        wrong = dane.judge(usable, shown, [name], datetime.now(UTC))
        return Judgement(not wrong, f"{wrong}: senders that look at it deliver nothing" if wrong else "")

    needed = bool(lookups.records(record.hostname, "TLSA"))
    return of_record("TLSA", record, judge, needed=needed)


def _is_beside(key: Record) -> bool:
    return key.hostname.partition(".")[0].endswith(dkim.BESIDE)


def _tlsa(text: str) -> Tlsa:
    usage, selector, matching, data = text.split(None, 3)
    return Tlsa(int(usage), int(selector), int(matching), bytes.fromhex(data.replace(" ", "")))
