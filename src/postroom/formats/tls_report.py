"""Reports of TLS: what a sender tells a domain about the connections of a day to its mail servers (RFC 8460 §4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from postroom.formats import dmarc_report

MAX_FAILURES = 5_000
"""Kinds of failure in a report, read or written."""
MAX_UNPACKED = 4 * 1024 * 1024
"""Octets of a report's JSON."""

Text = Annotated[str, msgspec.Meta(max_length=1000)]
Texts = Annotated[tuple[Text, ...], msgspec.Meta(max_length=100)]


class Failure(msgspec.Struct, frozen=True, rename="kebab", omit_defaults=True):
    """Sessions that failed alike; `result_type` is a word of RFC 8460 §4.3."""

    result_type: Text = ""
    sending_mta_ip: Text = ""
    receiving_mx_hostname: Text = ""
    receiving_mx_helo: Text = ""
    receiving_ip: Text = ""
    failed_session_count: int = 0
    additional_information: Text = ""
    failure_reason_code: Text = ""


class PolicyText(msgspec.Struct, frozen=True, rename="kebab", omit_defaults=True):
    """The policy that was applied: `policy_type` is tlsa, sts or no-policy-found."""

    policy_type: Text
    policy_string: Texts = ()
    policy_domain: Text = ""
    mx_host: Texts | Text = ()


class Summary(msgspec.Struct, frozen=True, rename="kebab"):
    """How many sessions went well and how many did not."""

    total_successful_session_count: int = 0
    total_failure_session_count: int = 0


class Policy(msgspec.Struct, frozen=True, rename="kebab", omit_defaults=True):
    """What came of one policy."""

    policy: PolicyText
    summary: Summary
    failure_details: Annotated[tuple[Failure, ...], msgspec.Meta(max_length=MAX_FAILURES)] = ()


class Range(msgspec.Struct, frozen=True, rename="kebab"):
    """The time a report is about, as RFC 3339 writes it."""

    start_datetime: Text
    end_datetime: Text


class Report(msgspec.Struct, frozen=True, rename="kebab"):
    """One report."""

    organization_name: Text
    date_range: Range
    contact_info: Text
    report_id: Text
    policies: Annotated[tuple[Policy, ...], msgspec.Meta(max_length=1000)]


@dataclass(frozen=True, slots=True)
class Day:
    """A day of UTC, in days since 1970."""

    number: int

    @property
    def range(self) -> Range:
        """Give its beginning and its end."""
        start = datetime.fromtimestamp(self.number * 86_400, UTC)
        return Range(f"{start:%Y-%m-%d}T00:00:00Z", f"{start:%Y-%m-%d}T23:59:59Z")


def write(report: Report) -> bytes:
    """Write a report as JSON."""
    return msgspec.json.encode(report)


def read(packed: bytes) -> Report:
    """Read a report as it is attached, in gzip or not; raises `ValueError`."""
    try:
        return msgspec.json.decode(dmarc_report.unpack(packed, MAX_UNPACKED), type=Report)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


def record(texts: Sequence[str]) -> tuple[str, ...]:
    """Read where a domain wants its reports: the addresses in the one TXT record at `_smtp._tls` (RFC 8460 §3), none of several."""
    found = [text for text in texts if text.replace(" ", "").startswith("v=TLSRPTv1;")]
    if len(found) != 1:
        return ()
    for part in found[0].split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip() == "rua":
            addresses = [address.strip() for address in value.split(",")]
            return tuple(address for address in addresses if address.lower().startswith(("mailto:", "https://")))[:10]
    return ()
