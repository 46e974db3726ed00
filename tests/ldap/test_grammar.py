"""What travels, held against octets that others have written down, and against garbage."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.ldap import entries, filters, messages, names
from postroom.ldap.ber import Malformed
from postroom.ldap.entries import Meaning
from postroom.ldap.settings import Settings
from postroom.model.directories import OutsideGroup


def test_a_bind_is_what_others_send() -> None:
    written = bytes.fromhex("30 16 02 01 01 60 11 02 01 03 04 06 63 6e 3d 61 64 6d 80 04 70 61 73 73".replace(" ", ""))
    assert messages.bind(1, "cn=adm", "pass") == written


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("(cn=*)", "87 02 63 6e"),
        ("(cn=a)", "a3 07 04 02 63 6e 04 01 61"),
        (r"(cn=\2a\28)", "a3 08 04 02 63 6e 04 02 2a 28"),
        ("(cn>=a)", "a5 07 04 02 63 6e 04 01 61"),
        ("(cn<=a)", "a6 07 04 02 63 6e 04 01 61"),
        ("(cn~=a)", "a8 07 04 02 63 6e 04 01 61"),
        ("(!(cn=*))", "a2 04 87 02 63 6e"),
        ("(&(cn=*)(|(cn=*)))", "a0 0a 87 02 63 6e a1 04 87 02 63 6e"),
        ("(cn=a*b*c)", "a4 0f 04 02 63 6e 30 09 80 01 61 81 01 62 82 01 63"),
        ("(cn=*b*)", "a4 09 04 02 63 6e 30 03 81 01 62"),
        ("(uac:1.2.3:=2)", "a9 0f 81 05 31 2e 32 2e 33 82 03 75 61 63 83 01 32"),
        ("(ou:dn:=a)", "a9 0a 82 02 6f 75 83 01 61 84 01 ff"),
    ],
)
def test_a_filter_is_what_the_standard_says(text: str, octets: str) -> None:
    assert filters.parse(text) == bytes.fromhex(octets.replace(" ", ""))


@pytest.mark.parametrize(
    "text", ["", "cn=a", "(cn=a", "(cn=a))", "(cn)", "(=a)", "(:=a)", r"(cn=\2)", "(&(cn=a)", "(!)", "(a.b:c=d)", "(" * 50]
)
def test_what_is_no_filter_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        filters.parse(text)


@given(st.text())
def test_what_is_not_trusted_is_a_value_and_nothing_else(text: str) -> None:
    with contextlib.suppress(UnicodeEncodeError):
        assert names.key(f"cn={names.escape(text)},o=x").count("\x1f") == 1, "one comma"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("UID=Alice,OU=People", "uid=alice,ou=people"),
        ("uid=alice, ou=people", "uid=alice,ou=people"),
        (r"cn=Smith\, John,o=x", r"cn=smith\2c john,o=x"),
        ("cn=a+sn=b,o=x", "SN=b+CN=a,o=x"),
        (r"cn=\c3\a9,o=x", "cn=é,o=x"),
    ],
)
def test_names_are_compared_whatever_their_spelling(one: str, other: str) -> None:
    assert names.key(one) == names.key(other)


@given(st.text(alphabet="aB =,;+é"))
def test_an_escape_elsewhere_makes_no_difference(text: str) -> None:
    assert names.key(f"cn={text},o=x") == names.key(f"cn={text},o=\\78")


def test_different_names_stay_different() -> None:
    assert len({names.key(name) for name in ("cn=a,o=x", r"cn=a\,o=x", "cn=a+o=x", "o=x,cn=a", "cn=a")}) == 5


@given(st.binary(max_size=200))
def test_garbage_is_malformed_or_read(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        message = messages.read(data)
        for read in (messages.result, messages.entry):
            with contextlib.suppress(Malformed):
                read(message)


def test_a_security_identifier_is_spelled_as_windows_does() -> None:
    octets = bytes.fromhex("010500000000000515000000a065cf7e784b9b5fe77c8770091c0100")
    assert entries.sid(octets) == "S-1-5-21-2127521184-1604012920-1887927527-72713"


def test_what_windows_does_not_give_is_no_security_identifier() -> None:
    for octets in (b"", b"\1\0" + bytes(6), b"\1\2" + bytes(10), b"\2\1" + bytes(10), b"\1\x10" + bytes(6 + 4 * 16)):
        with pytest.raises(ValueError, match="security identifier"):
            entries.sid(octets)


def active_directory(**attributes: list[bytes]) -> dict[str, list[bytes]]:
    sid = bytes.fromhex("010500000000000515000000a065cf7e784b9b5fe77c8770091c0100")
    return {"objectsid": [sid], "samaccountname": [b"alice"], **attributes}


def test_active_directory_says_who_is_disabled_and_when_a_password_was_changed() -> None:
    meaning = Meaning(Settings(id="d-0000000001", type="active-directory"))
    user = meaning.user("cn=a", active_directory(useraccountcontrol=[b"514"], pwdlastset=[b"133"], streetaddress=[b"Main\r\nStreet"]))
    assert user is not None
    assert (user.id, user.name, user.active, user.changed) == ("S-1-5-21-2127521184-1604012920-1887927527-72713", "alice", False, "133")
    assert user.profile == {"street": "Main Street"}
    for control, active in ((b"512", True), (b"-2147483134", False), (b"-2147483136", True), (b"x", True)):
        found = meaning.user("cn=a", active_directory(useraccountcontrol=[control]))
        assert found is not None
        assert found.active is active


def test_names_that_mail_cannot_have_are_left_out() -> None:
    meaning = Meaning(Settings(id="d-0000000001", type="active-directory"))
    for name in (b"PC$", b"a b", b"", "jürgen".encode(), b"x" * 65):
        assert meaning.user("cn=a", active_directory(samaccountname=[name])) is None
    assert meaning.user("cn=a", {"samaccountname": [b"alice"]}) is None, "without an id"


def test_posix_and_unique_members_are_members() -> None:
    meaning = Meaning(Settings(id="d-0000000001"))
    found = {
        "entryuuid": [b"F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"],
        "cn": [b"g"],
        "member": [b"a"],
        "uniquemember": [b"b"],
        "memberuid": [b"c"],
    }
    assert meaning.group("cn=g", found) == OutsideGroup("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "cn=g", "g", ("a", "b"), ("c",))


def test_members_that_come_in_parts_say_where_the_next_begins() -> None:
    assert entries.ranged({"member;range=0-1499": [b"a"]}, "member") == ([b"a"], 1500)
    assert entries.ranged({"member;range=1500-*": [b"b"]}, "member") == ([b"b"], None)
    assert entries.ranged({"member": [b"c"]}, "member") == ([b"c"], None)
