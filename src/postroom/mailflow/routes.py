"""Where a domain's mail goes, decided from what DNS said (RFC 5321 §5.1)."""

import secrets
from collections.abc import Sequence

from postroom.mailflow.verdicts import Verdict, failed

SMTP_PORT = 25
GATEWAY = "gateway:"
"""How destinations begin that are not domains but gateways by their names."""
ANYHOW = "anyhow:"
"""How destinations begin that are domains, for letters that go there whatever is demanded of encryption (RFC 8689 §3, RFC 8460 §3)."""
LONGEST = 10
"""Exchanges tried of one domain, and addresses of all of them."""


def choose(domain: str, exchanges: Sequence[tuple[int, str]], own_names: frozenset[str]) -> list[str] | Verdict:
    """List the hosts to try, best first, or say why there are none; `exchanges` is (preference, host), sorted.

    Hosts of one preference come in any order, so that each has its share. A domain without MX is its own exchange.
    Of exchanges that are this very server, it and all no better than it are left out, or mail would go round in circles.
    """
    if not exchanges:
        exchanges = [(0, domain)]
    if [host for _, host in exchanges] == [""]:
        return failed("5.1.10", f"{domain} takes no mail (null MX)")
    own = [preference for preference, host in exchanges if host in own_names]
    if own:
        exchanges = [(preference, host) for preference, host in exchanges if preference < min(own)]
    hosts = [host for _, host in sorted(exchanges, key=lambda exchange: (exchange[0], secrets.randbits(32))) if host]
    if not hosts:
        return failed("5.4.6", f"Mail for {domain} leads back to this server, which does not take it")
    return hosts[:LONGEST]


def host_and_port(text: str, default: int = SMTP_PORT) -> tuple[str, int]:
    """Read `host`, `host:port`, `address` or `[address]:port`; raises `ValueError`."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    if host.lower() == "localhost":
        host = "127.0.0.1"  # DNS does not know it
    return host, int(port or default)
