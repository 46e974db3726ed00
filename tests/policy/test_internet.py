"""Addresses that a stranger may send us to."""

import ipaddress

import pytest

from postroom.policy.internet import permitted


@pytest.mark.parametrize(
    ("address", "internet", "private"),
    [
        ("192.0.9.1", True, True),
        ("2600::1", True, True),
        ("127.0.0.1", False, True),
        ("10.1.2.3", False, True),
        ("172.16.0.1", False, True),
        ("192.168.1.1", False, True),
        ("100.64.0.1", False, True),
        ("::1", False, True),
        ("fd00::1", False, True),
        ("::ffff:127.0.0.1", False, True),
        ("::127.0.0.1", False, True),
        ("64:ff9b::127.0.0.1", False, True),
        ("2002:7f00:1::1", False, True),
        ("64:ff9b::192.0.9.1", True, True),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("::ffff:0:127.0.0.1", False, True),
        ("64:ff9b:1::7f00:1", False, True),
        ("fec0::1", False, True),
        ("192.0.0.8", False, True),
        ("192.0.0.192", False, False),
        ("100.100.100.200", False, False),
        ("168.63.129.16", False, False),
        ("fd00:ec2::254", False, False),
        ("fe80::1", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("ff02::1", False, False),
    ],
)
def test_which_addresses_may_be_asked(address: str, internet: bool, private: bool) -> None:
    parsed = ipaddress.ip_address(address)
    assert permitted(parsed, private=False) is internet
    assert permitted(parsed, private=True) is private
