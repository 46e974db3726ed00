"""How many may be in, and from where."""

from postroom.policy.crowd import Crowd

LOCAL = ("127.0.0.0/8", "::1/128")


def test_places_are_where_one_client_speaks_from() -> None:
    place = Crowd(most=9, most_of_place=9, trusted=LOCAL).place
    assert place("2001:db8::1") == place("2001:db8::ffff") == "2001:db8::/64"
    assert place("::ffff:192.0.2.1") == place("192.0.2.1") == "192.0.2.1"
    assert place("fe80::1%eth0") == "fe80::/64"
    assert place("127.0.0.1") == place("::1") == place("::ffff:127.0.0.9") == place("unknown") == ""


def test_so_many_from_one_place_and_any_number_from_a_trusted_one() -> None:
    crowd = Crowd(most=10, most_of_place=2, trusted=LOCAL)
    assert [crowd.enter(crowd.place(f"2001:db8::{number}")) for number in range(3)] == [True, True, False]
    assert [crowd.enter(crowd.place("127.0.0.1")) for _ in range(4)] == [True] * 4
    assert crowd.enter(crowd.place("2001:db8:0:1::1"))
    crowd.leave(crowd.place("2001:db8::77"))
    assert crowd.enter(crowd.place("2001:db8::5"))
    assert crowd.inside == 7


def test_so_many_in_all_and_scarce_before_that() -> None:
    crowd = Crowd(most=5, most_of_place=99, trusted=LOCAL)
    assert [(crowd.enter(""), crowd.stressed, crowd.full) for _ in range(6)] == [
        (True, False, False), (True, False, False), (True, False, False), (True, False, False), (True, True, True), (False, True, True),
    ]  # fmt: skip
    crowd.leave("")
    assert (crowd.inside, crowd.full) == (4, False)
