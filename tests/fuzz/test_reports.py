"""No octets make the readers of reports raise anything but `ValueError`, hang or swell: reports cut up, put together anew, and packed."""

from __future__ import annotations

import gzip
import random
import time
import tracemalloc
from contextlib import suppress

import pytest

from postroom.formats import dmarc_report, received_reports, tls_report
from tests.formats.test_reports import FOREIGN, zipped
from tests.server.test_reports import TLS, letter, report

SEEDS = [FOREIGN, zipped(FOREIGN), gzip.compress(FOREIGN), tls_report.write(TLS), letter(report()), letter(TLS)]
WORDS = [
    b"<record>", b"</record>", b"<feedback>", b"<row>", b"<count>", b"999999999999999999", b"<![CDATA[", b"]]>", b"<!DOCTYPE", b"<!--", b"-->", b"&#0;", b"&lt;",
    b"&x;", b"<?xml version='1.0' encoding='utf-16'?>", b"\xff\xfe", b"\0", b"PK\x01\x02", b"PK\x05\x06", b"PK\x03\x04", b"\x1f\x8b\x08", b"{", b"}", b"[", b"]",
    b'"policies":', b'"failure-details":[{}]', b"1e999", b"-1", b"\\ud800", b"xmlns='", b"\r\n--", b"Content-Type: application/zip\r\n\r\n",
]  # fmt: skip


def mangled(seed: int) -> bytes:
    dice = random.Random(seed)
    raw = bytearray(dice.choice(SEEDS))
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(raw) + 1)
        what = dice.random()
        if what < 0.4:
            raw[at : at + dice.choice([0, 0, 1, 8])] = dice.choice(WORDS) * dice.choice([1, 1, 1, 50])
        elif what < 0.7 and at < len(raw):
            raw[at] = dice.randrange(256)
        else:
            del raw[at : at + dice.randint(1, 40)]
    return gzip.compress(bytes(raw), 1) if dice.random() < 0.2 else bytes(raw)


@pytest.mark.parametrize("start", range(0, 2000, 1000))
def test_a_budget_of_mangled_reports(start: int) -> None:
    began = time.process_time()
    for seed in range(start, start + 1000):
        raw = mangled(seed)
        for read in (dmarc_report.read, tls_report.read, received_reports.in_file):
            with suppress(ValueError):
                read(raw)
    assert time.process_time() - began < 60


@pytest.mark.parametrize(
    "hostile",
    [
        gzip.compress(b"<feedback>" + b"<a/>" * 8_000_000),
        gzip.compress(b"<feedback>" + b"<a>" * 2_000_000),
        gzip.compress(b"<feedback " + b"a='' " * 2_000_000 + b"/>"),
        gzip.compress(b"<feedback>" + b"x" * 30_000_000 + b"</feedback>"),
        gzip.compress(b'{"policies":[' + b"{}," * 1_300_000 + b"{}]}"),
        gzip.compress(b"[" * 4_000_000),
        gzip.compress(bytes(1 << 30)),
    ],
    ids=["elements", "depth", "attributes", "text", "policies", "brackets", "zeros"],
)
def test_a_small_file_that_unpacks_to_much_costs_little(hostile: bytes) -> None:
    assert len(hostile) < 2_000_000
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(ValueError, match=r"."):
        received_reports.in_file(hostile)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - began < 20
    assert peak < 300 << 20
