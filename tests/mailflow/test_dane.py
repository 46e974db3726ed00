"""TLSA records against certificates: which fit, which do not, and which do not count."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from postroom.mailflow.outbound.dane import MOST_RECORDS, judge, usable
from postroom.mailflow.tlsa import Tlsa

NOW = datetime(2026, 3, 1, tzinfo=UTC)
Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def issue(name: str, by: Pair | None = None, *, authority: bool = False, days: int = 30) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by[0].subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=60))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return builder.sign(by[1] if by else key, hashes.SHA256()), key


ROOT = issue("root.test", authority=True)
MIDDLE = issue("middle.test", ROOT, authority=True)
HOST = issue("mx.example.test", MIDDLE)
STRANGER = issue("mx.example.test")


def der(*pairs: Pair) -> list[bytes]:
    return [certificate.public_bytes(Encoding.DER) for certificate, _ in pairs]


def tlsa(usage: int, pair: Pair, selector: int = 1, matching: int = 1) -> Tlsa:
    spki = pair[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    data = spki if selector else der(pair)[0]
    return Tlsa(usage, selector, matching, [bytes, lambda d: hashlib.sha256(d).digest(), lambda d: hashlib.sha512(d).digest()][matching](data))


@pytest.mark.parametrize("usage", [2, 3])
@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_every_way_to_name_a_certificate(usage: int, selector: int, matching: int) -> None:
    record = tlsa(usage, HOST if usage == 3 else ROOT, selector, matching)
    assert record.usable
    assert judge([record], der(HOST, MIDDLE, ROOT), ["mx.example.test"], NOW) == ""
    assert judge([record], der(STRANGER, MIDDLE, ROOT), ["mx.example.test"], NOW) != ""


def test_the_servers_own_key_counts_whatever_its_name_and_dates() -> None:
    old = issue("another.test", days=-1)
    assert judge([tlsa(3, old)], der(old), ["mx.example.test"], NOW) == ""


def test_under_an_authority_name_and_dates_count() -> None:
    anchor = [tlsa(2, ROOT)]
    old = issue("mx.example.test", ROOT, days=-1)
    assert judge(anchor, der(old, ROOT), ["mx.example.test"], NOW) == "certificate-expired"
    assert judge(anchor, der(HOST, MIDDLE, ROOT), ["mx.other.test"], NOW) == "certificate-host-mismatch"
    assert judge(anchor, der(HOST, MIDDLE, ROOT), ["mx.other.test", "mx.example.test"], NOW) == ""
    star = issue("*.example.test", ROOT)
    assert judge(anchor, der(star, ROOT), ["mx.example.test"], NOW) == ""
    assert judge(anchor, der(star, ROOT), ["a.mx.example.test"], NOW) == "certificate-host-mismatch"


def test_an_authority_that_is_only_shown_proves_nothing() -> None:
    assert judge([tlsa(2, ROOT)], der(STRANGER, MIDDLE, ROOT), ["mx.example.test"], NOW) == "certificate-not-trusted"
    forged = issue("mx.example.test", issue("leaf.test", ROOT))
    leaf = issue("leaf.test", ROOT)
    below = issue("mx.example.test", leaf)
    assert judge([tlsa(2, ROOT)], der(below, leaf, ROOT), ["mx.example.test"], NOW) == "certificate-not-trusted"
    assert judge([tlsa(2, ROOT)], der(forged, ROOT), ["mx.example.test"], NOW) == "certificate-not-trusted"


def again(pair: Pair, by: Pair, *, days: int = 30) -> Pair:
    """Certify the same name and key another time, by somebody else."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(pair[0].subject)
        .issuer_name(by[0].subject)
        .public_key(pair[1].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=60))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return builder.sign(by[1], hashes.SHA256()), pair[1]


def test_every_way_up_is_walked() -> None:
    other = issue("other.test", authority=True)
    crossed, stale = again(MIDDLE, other), again(MIDDLE, ROOT, days=-1)
    assert judge([tlsa(2, ROOT)], der(HOST, crossed, other, MIDDLE, ROOT), ["mx.example.test"], NOW) == ""
    assert judge([tlsa(2, ROOT)], der(HOST, stale, crossed, MIDDLE, ROOT), ["mx.example.test"], NOW) == ""
    assert judge([tlsa(2, ROOT)], der(HOST, stale, ROOT), ["mx.example.test"], NOW) == "certificate-expired"


def test_many_ways_up_end_soon() -> None:
    ring = [issue("ring.test", authority=True)]
    ring += [again(ring[0], ring[0]) for _ in range(8)]
    leaf = issue("mx.example.test", ring[0])
    assert judge([tlsa(2, ROOT)], der(leaf, *ring), ["mx.example.test"], NOW) == "certificate-not-trusted"


@pytest.mark.parametrize("selector", [0, 1])
def test_a_record_that_holds_an_authority_needs_no_showing_of_it(selector: int) -> None:
    assert judge([tlsa(2, ROOT, selector, 0)], der(HOST, MIDDLE), ["mx.example.test"], NOW) == ""
    assert judge([tlsa(2, ROOT, selector, 0)], der(HOST), ["mx.example.test"], NOW) == "certificate-not-trusted"
    assert judge([tlsa(2, STRANGER, selector, 0)], der(HOST, MIDDLE), ["mx.example.test"], NOW) == "certificate-not-trusted"


def test_rubbish_beside_what_fits_does_not_matter() -> None:
    assert judge([tlsa(3, HOST)], [*der(HOST), b"rubbish"], ["mx.example.test"], NOW) == ""
    assert judge([tlsa(2, ROOT)], [*der(HOST), b"rubbish", *der(MIDDLE, ROOT)], ["mx.example.test"], NOW) == ""
    assert judge([Tlsa(3, 1, 0, b"x"), Tlsa(2, 1, 0, b"x"), tlsa(3, HOST)], der(HOST), ["mx.example.test"], NOW) == ""
    odd = b"what OpenSSL reads and we do not"
    assert judge([Tlsa(3, 0, 1, hashlib.sha256(odd).digest())], [odd], ["mx.example.test"], NOW) == ""


def test_records_that_do_not_count() -> None:
    good = tlsa(3, HOST)
    odd = [Tlsa(0, 1, 1, good.data), Tlsa(1, 1, 1, good.data), Tlsa(3, 2, 1, good.data), Tlsa(3, 1, 3, good.data)]
    assert usable([*odd, Tlsa(3, 1, 1, b"short"), Tlsa(3, 1, 2, good.data), Tlsa(3, 0, 0, b""), good]) == [good]
    assert len(usable([good] * 100)) == MOST_RECORDS


@given(st.lists(st.binary(max_size=400), max_size=12), st.integers(2, 3), st.binary(min_size=1, max_size=64))
def test_no_bytes_pass_or_crash(chain: list[bytes], usage: int, data: bytes) -> None:
    assert judge([Tlsa(usage, 1, 0, data)], chain, ["mx.example.test"], NOW) != ""
    assert judge([Tlsa(usage, 1, 0, data)], [*der(HOST), *chain], ["mx.example.test"], NOW) != ""
