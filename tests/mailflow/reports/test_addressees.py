"""To whom a report goes: addresses with sizes, and invitations of others in DNS."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.mailflow.reports import addressees
from postroom.mailflow.reports.addressees import Addressee
from postroom.mailflow.resolver import NoAnswer


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("mailto:a@far.test", Addressee("a@far.test")),
        (" MAILTO:a@far.test!10m ", Addressee("a@far.test", 10 << 20)),
        ("mailto:a@far.test!50K", Addressee("a@far.test", 50 << 10)),
        ("mailto:a@far.test!700", Addressee("a@far.test", 700)),
        ("mailto:a%21b@far.test?subject=x", Addressee("a!b@far.test")),
        ("mailto:a@far.test,b@far.test", None),
        ("mailto:a@far.test%0d%0aBcc:x@far.test", None),
        ("mailto:%22a%0a%22@far.test", None),
        ("mailto:nobody", None),
        ("mailto:", None),
        ("https://far.test/reports", None),
        ("a@far.test", None),
        (f"mailto:{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.test", None),
    ],
)
def test_an_address_and_its_size(uri: str, found: Addressee | None) -> None:
    assert addressees.parse(uri) == found


@given(st.text(max_size=60))
def test_no_text_does_worse_than_be_no_address(text: str) -> None:
    for uri in (text, f"mailto:{text}", f"mailto:a@far.test{text}"):
        found = addressees.parse(uri)
        assert found is None or found.domain


class Zone:
    """TXT records, and what has been asked; a name in `silent` gets no answer."""

    def __init__(self, *silent: str) -> None:
        self.silent = silent
        self.records: dict[str, str] = {}
        self.asked: list[str] = []

    def __call__(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        if name in self.silent:
            raise NoAnswer(name)
        return [self.records[name]] if name in self.records else []


def test_an_address_of_the_same_organization_needs_no_invitation() -> None:
    zone = Zone()
    assert addressees.choose("news.far.test", ["mailto:a@far.test", "mailto:b@mail.far.test"], zone) == [
        Addressee("a@far.test"), Addressee("b@mail.far.test"),
    ]  # fmt: skip
    assert zone.asked == []


@pytest.mark.parametrize(("uri", "near"), [("mailto:a@x.co.uk", False), ("mailto:a@reports.y.co.uk", True)])
def test_a_public_suffix_makes_no_organization(uri: str, near: bool) -> None:
    zone = Zone()
    assert bool(addressees.choose("y.co.uk", [uri], zone)) is near
    assert zone.asked == ([] if near else ["y.co.uk._report._dmarc.x.co.uk"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("v=DMARC1", [Addressee("r@other.test", 1 << 20)]),
        ("v=DMARC1; rua=mailto:instead@other.test", [Addressee("instead@other.test")]),
        ("v=DMARC1; rua=mailto:victim@third.test", [Addressee("r@other.test", 1 << 20)]),
        ("v=DMARC1; rua=;;=", [Addressee("r@other.test", 1 << 20)]),
        ("v=DMARC2", []),
        ("v=spf1 -all", []),
        ("", []),
    ],
)
def test_another_organization_has_to_say_that_it_wants_them(text: str, found: list[Addressee]) -> None:
    zone = Zone()
    zone.records["far.test._report._dmarc.other.test"] = text
    assert addressees.choose("far.test", ["mailto:r@other.test!1m"], zone) == found


def test_what_dns_cannot_say_is_no_no() -> None:
    zone = Zone("far.test._report._dmarc.other.test")
    uris = ["mailto:r@other.test", "mailto:a@far.test"]
    with pytest.raises(NoAnswer):
        addressees.choose("far.test", uris, zone)
    assert addressees.choose_known("far.test", uris, zone) == [Addressee("a@far.test")]


def test_not_everybody_on_earth_gets_a_report() -> None:
    uris = [f"mailto:a{number}@far.test" for number in range(10)] + ["mailto:a0@far.test"]
    assert len(addressees.choose("far.test", uris, Zone())) == addressees.MAX_ADDRESSEES
