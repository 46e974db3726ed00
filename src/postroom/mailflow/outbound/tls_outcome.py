"""How the encryption of one connection to another server came out, as RFC 8460 counts it for reports."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Policy = Literal["tlsa", "sts", "no-policy-found"]
Result = Literal[
    "",  # success
    "starttls-not-supported",
    "certificate-host-mismatch",
    "certificate-expired",
    "certificate-not-trusted",
    "validation-failure",
    "tlsa-invalid",
    "dnssec-invalid",
    "dane-required",
    "sts-policy-fetch-error",
    "sts-policy-invalid",
    "sts-webpki-invalid",
]


@dataclass(frozen=True, slots=True)
class TlsOutcome:
    """One connection under one policy; `result` is empty for a success, or else a word of RFC 8460 §4.3."""

    policy_type: Policy
    policy_domain: str
    policy_text: tuple[str, ...]
    mx_host: str
    receiving_ip: str
    sending_ip: str
    result: Result
    details: str
    at: float


Sink = Callable[[TlsOutcome], None]


def ignore(outcome: TlsOutcome) -> None:
    """Keep nothing: the sink of a server that sends no reports."""
