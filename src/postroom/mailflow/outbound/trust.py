"""TLS contexts of a client. Reading all of a system's authorities takes hundredths of a second, so connections share one for an hour."""

import ssl
import time
from functools import lru_cache

_HOUR = 3600.0


def verifying(authorities: str) -> ssl.SSLContext:
    """Give a context that demands a valid certificate for the name asked for, by a PEM file or, if that is '', by the system.

    Raises `OSError` when the file cannot be read.
    """
    return _verifying(authorities, int(time.monotonic() / _HOUR))


@lru_cache(maxsize=1)
def unverifying() -> ssl.SSLContext:
    """Give a context that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def tighten(context: ssl.SSLContext, authorities: str) -> ssl.SSLContext:
    """Make a client's context trust the given authorities and what a certificate names in its extension alone."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    if authorities:
        context.load_verify_locations(authorities)
    else:
        context.load_default_certs()
    return context


@lru_cache(maxsize=8)
def _verifying(authorities: str, hour: int) -> ssl.SSLContext:
    return tighten(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), authorities)
