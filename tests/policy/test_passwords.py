"""What may be a password, and how it is kept."""

import statistics
import time

import pytest

from postroom.model import errors
from postroom.policy import passwords


@pytest.mark.parametrize(
    "password",
    ["abcdEF12", "aB1" + "x" * 60, "lower case 7", "ALL-CAPS-99", "äöüabc12", "GROß1234", "!!!!aaAA", "\u00ff\u00feaa11bb"],
)
def test_three_kinds_in_8_to_63_characters_will_do(password: str) -> None:
    passwords.check_rules(password)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("aB1!xyz", "8 to 63"),
        ("aB1" + "x" * 61, "8 to 63"),
        ("", "8 to 63"),
        ("abcdefgh12", "3 complexity categories"),
        ("ABCDEFGH", "3 complexity categories"),
        ("abcd!!!!", "3 complexity categories"),
        ("aB1aB1aБ", "Latin-1"),
        ("aB1aB1a\u20ac", "Latin-1"),
        ("aB1aB1a\n", "Latin-1"),
        ("aB1aB1a\x7f", "Latin-1"),
        ("aB1aB1a\x85", "Latin-1"),
    ],
)
def test_others_are_refused_and_told_why(password: str, why: str) -> None:
    with pytest.raises(errors.InvalidPassword, match=why):
        passwords.check_rules(password)


def test_a_hash_verifies_its_own_password_alone() -> None:
    stored = passwords.hash("Passwörd1")
    assert stored.startswith("$argon2id$v=19$m=7168,t=5,p=1$")
    assert passwords.verify(stored, "Passwörd1")
    assert not passwords.verify(stored, "Passwörd2")
    assert not passwords.verify(stored, "Passw\ud800rd1")
    assert passwords.hash("Passwörd1") != stored


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$broken"])
def test_what_is_no_hash_verifies_nothing(stored: str) -> None:
    assert not passwords.verify(stored, "")
    assert not passwords.verify(stored, stored)


def test_nobodys_hash_costs_as_much_as_anybodys() -> None:
    stored = passwords.hash("Password1")

    def cost(checked: str) -> float:
        begun = time.thread_time()
        passwords.verify(checked, "another")
        return time.thread_time() - begun

    anybody = statistics.median(cost(stored) for _ in range(5))
    nobody = statistics.median(cost(passwords.NOBODYS) for _ in range(5))
    assert anybody / 3 < nobody < anybody * 3
