"""What makes clients and other servers do better, and mail comes and goes without: SRV records, MTA-STS and reports of TLS."""

from collections.abc import Sequence

from postroom.directory.domains import Record, Targets
from postroom.formats import sts_policy
from postroom.server import endpoints
from postroom.server.dns.expectations import Expectation, Judge, Judgement, of_record
from postroom.server.dns.lookups import Lookups
from postroom.server.settings import Settings
from postroom.server.web import sts as policies

_ADDRESS = "mailto:"


def services(name: str, settings: Settings, targets: Targets) -> list[Expectation]:
    """Expect an SRV record for each service there is, and none for others that leads here (RFC 6186, RFC 6764, RFC 8314 §5.1)."""
    ports = {
        "_imaps": _port(settings.imap.listen_tls, 993),
        "_submissions": _port(settings.submission.listen_tls, 465),
        "_submission": _port(settings.submission.listen, 587),
        "_caldavs": None,
        "_carddavs": None,
    }
    return [_service(f"{service}._tcp.{name}", port, targets.mail_host) for service, port in ports.items()]


def _port(listen: Sequence[str], usual: int) -> int | None:
    """Give the port that clients come to: of several the usual one, None where nothing listens."""
    ports = [endpoints.parse(text).port or usual for text in listen]
    return usual if usual in ports else next(iter(ports), None)


def _service(hostname: str, port: int | None, host: str) -> Expectation:
    if port is None:
        return Expectation("SRV", hostname, "SRV", "none that leads here", _leads_elsewhere(host), needed=False)
    record = Record("SRV", hostname, f"0 1 {port} {host}")
    return of_record("SRV", record, _leads(port, host), needed=False)


def _leads(port: int, host: str) -> Judge:
    def judge(found: Sequence[str]) -> Judgement:
        ways = [one.lower().split() for one in found]
        return Judgement(any(way[2:] == [str(port), host.lower()] for way in ways))

    return judge


def _leads_elsewhere(host: str) -> Judge:
    def judge(found: Sequence[str]) -> Judgement:
        here = any(one.lower().split()[3:] == [host.lower()] for one in found)
        return Judgement(not here, "this server has no such service: take the record away" if here else "")

    return judge


def sts(name: str, settings: Settings, lookups: Lookups) -> Expectation:
    """Expect MTA-STS to be there as a whole or not at all: a record, and a host with the policy (RFC 8461 §3).

    Where a policy is served here the record has to announce that one; where none is, the owner's own will do.
    """
    record, host = policies.records(name, settings)
    serving = settings.mta_sts.mode != "none"

    def judge(found: Sequence[str]) -> Judgement:
        announced = sts_policy.identifier(found)
        if not found:
            return Judgement(False, "" if serving else "first set [mta_sts] mode, and let the web door listen")
        if announced is None:
            return Judgement(False, "not one record that can be read")
        if not (lookups.records(host.hostname, "A") or lookups.records(host.hostname, "AAAA")):
            return Judgement(False, f"{host.hostname} has no address, so there is no policy: lead it to {host.value}")
        stale = serving and announced != sts_policy.identifier([record.value])
        return Judgement(not stale, "it does not announce the policy as it is here: others go on with the one they know" if stale else "")

    return of_record("MTA-STS", record, judge, needed=False, prefix="v=stsv1")


def tls_reports(name: str) -> Expectation:
    """Expect to hear from senders how their connections came out (RFC 8460 §3)."""

    def judge(found: Sequence[str]) -> Judgement:
        if len(found) != 1:
            return Judgement(False, "there are several" if found else "")
        tags = dict(tag.strip().partition("=")[::2] for tag in found[0].split(";") if tag.strip())
        return Judgement(tags.get("rua", "").startswith((_ADDRESS, "https:")), "" if "rua" in tags else "it has no rua")

    record = Record("TXT", f"_smtp._tls.{name}", f"v=TLSRPTv1; rua={_ADDRESS}postmaster@{name}")
    return of_record("TLS reports", record, judge, needed=False, prefix="v=tlsrptv1")
