"""DANE and MTA-STS between Postroom and Postfix, under zones that Knot signs and Unbound validates: who is sent to, and who is not."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator

import pytest

from tests.interop.reader import Reader
from tests.interop.tools import need
from tests.interop.verification import HOST, STS_HERE, Laboratory, open_laboratory, written

SENT = {"dane": "dane", "odd": "unverified", "sts": "mta-sts", "testing": "unverified"}
"""By what the certificate of each domain's server is verified."""
HELD = {"wrong": "TLSA", "bogus": "TLSA", "badname": "Hostname mismatch", "stranger": "unable to get local issuer certificate"}
"""What is said of servers that are not sent to."""


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with open_laboratory(tmp_path_factory.mktemp("laboratory")) as opened:
        yield opened


@pytest.fixture(scope="module")
def sent(laboratory: Laboratory) -> dict[str, str]:
    """Send a letter to each domain of Postfix; gives their markers."""
    return {name: laboratory.send(f"bob@{name}.test") for name in (*SENT, *HELD)}


@pytest.mark.parametrize(("name", "verified"), SENT.items())
def test_a_server_that_will_do_is_sent_to(laboratory: Laboratory, sent: dict[str, str], name: str, verified: str) -> None:
    letter = laboratory.postfix.await_letter("bob", sent[name].encode())
    assert b"using TLSv1.3" in letter
    told = laboratory.told("attempt", to=f"bob@{name}.test")
    assert told["outcome"] == "delivered"
    assert re.fullmatch(rf"TLSv1\.3 \S+ {verified}", told["tls"])


@pytest.mark.parametrize(("name", "said"), HELD.items())
def test_a_server_that_will_not_do_is_sent_nothing(laboratory: Laboratory, sent: dict[str, str], name: str, said: str) -> None:
    told = laboratory.told("attempt", to=f"bob@{name}.test")
    assert (told["outcome"], told["status"]) == ("deferred", "4.7.5")
    assert said in told["reply"]
    assert not any(sent[name].encode() in letter for letter in laboratory.postfix.letters("bob"))


@pytest.mark.parametrize("name", ["wrong", "badname", "stranger"])
def test_a_letter_whose_sender_waives_that_is_sent_all_the_same(laboratory: Laboratory, sent: dict[str, str], name: str) -> None:
    marker = laboratory.send(f"robert@{name}.test", TLS_Required="No")
    assert b"using TLSv1.3" in laboratory.postfix.await_letter("bob", marker.encode())
    told = laboratory.told("attempt", to=f"robert@{name}.test")
    assert (told["outcome"], told["tls"].rpartition(" ")[2]) == ("delivered", "unverified")


def test_a_policy_holds_while_its_host_is_away(laboratory: Laboratory, sent: dict[str, str]) -> None:
    laboratory.postfix.await_letter("bob", sent["sts"].encode())
    laboratory.policies.shutdown()
    laboratory.policies.server_close()
    asked = list(laboratory.policies.asked)
    marker = laboratory.send("robert@sts.test")
    laboratory.postfix.await_letter("bob", marker.encode())
    assert laboratory.told("attempt", to="robert@sts.test")["tls"].endswith(" mta-sts")
    assert laboratory.policies.asked == asked
    assert sorted(asked) == ["badname", "stranger", "sts", "testing"]


def test_postfix_verifies_us_by_dane(laboratory: Laboratory) -> None:
    marker, log = by_postfix(laboratory, laboratory.user.email)
    assert f"Verified TLS connection established to {HOST}[" in log
    with Reader(laboratory.ready, laboratory.user) as reader:
        assert b"Received: from mx.dane.test" in reader.await_letter(marker.encode())


def test_postfix_verifies_us_by_our_policy(laboratory: Laboratory) -> None:
    need("mta-sts-daemon", "postfix-mta-sts-resolver")
    marker, log = by_postfix(laboratory, f"correspondent@{STS_HERE}")
    assert f"Verified TLS connection established to {HOST}[" in log
    with Reader(laboratory.ready, laboratory.user) as reader:
        assert b"Received: from mx.dane.test" in reader.await_letter(marker.encode())


def by_postfix(laboratory: Laboratory, recipient: str) -> tuple[str, str]:
    """Have Postfix send a letter; gives its marker and what Postfix has logged of it."""
    postfix = laboratory.postfix
    laboratory.await_adviser()
    before = len(postfix.log())
    letter, marker = written("bob@dane.test", recipient)
    with smtplib.SMTP(postfix.address, 25, timeout=60) as client:
        client.send_message(letter, "bob@dane.test", [recipient])
    postfix.await_log(f"to=<{recipient}>", before)
    return marker, postfix.log()[before:]
