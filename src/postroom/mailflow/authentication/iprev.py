"""iprev: the name of a client's address, if that name leads back to it (RFC 8601 §3)."""

import ipaddress

from postroom.mailflow.assessment import Result
from postroom.mailflow.authentication.questions import Check, Query, is_same
from postroom.mailflow.resolver import NoAnswer, NoSuchName

MOST_NAMES = 3


def check(address: str) -> Check[tuple[Result, str]]:
    """Give the result and the name."""
    try:
        client = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return Result.NONE, ""
    mapped = client.ipv4_mapped if isinstance(client, ipaddress.IPv6Address) else None
    client = mapped or client
    try:
        names = yield Query("PTR", str(client))
    except NoSuchName:
        return Result.FAIL, ""
    except NoAnswer:
        return Result.TEMPERROR, ""
    trouble = False
    for name in names[:MOST_NAMES]:
        try:
            found = yield Query("A" if client.version == 4 else "AAAA", name)
        except NoSuchName:
            continue
        except NoAnswer:
            trouble = True
            continue
        if any(is_same(text, client) for text in found):
            return Result.PASS, name
    return (Result.TEMPERROR if trouble else Result.FAIL), ""
