"""An automatic reply that is put into the active script, and taken out of it again without a trace."""

from __future__ import annotations

from datetime import date

import pytest

from postroom.formats.sieve import script as language
from postroom.mailbox import access
from postroom.mailflow.sieve import absence, scripts
from postroom.mailflow.sieve.absence import Absence
from postroom.mailflow.sieve.scripts import Limits
from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.storage.engine import Store
from tests.people import populate

LIMITS = Limits()
AWAY = Absence('I am "away" \\ until spring.\n.\nBye', "Out", date(2026, 12, 24), date(2027, 1, 6), "+0100", 3)
SCRIPTS = [
    'require "fileinto";\nfileinto "X";\n',
    'require ["fileinto"]; require "copy";\r\n\r\nfileinto :copy "X"; keep;',
    "# mine\nkeep;\n",
    'require "fileinto"; fileinto "X";',
    "/* only */",
    'require "vacation";\nvacation "My own";\n',
    'require "fileinto"; # that; is a comment\nfileinto text:\nX\n.\n;\n',
]


@pytest.mark.parametrize("text", SCRIPTS)
def test_a_script_gets_the_reply_and_is_afterwards_as_it_was(store: Store, organization: Organization, text: str) -> None:
    owner = populate(store, organization).ids["alice"]
    with store.transaction(organization.number) as tx:
        mailbox = access.open_for_upkeep(tx, owner)
        scripts.put(tx, mailbox, "mine", text.encode(), LIMITS)
        scripts.activate(tx, mailbox, "mine")
        assert absence.find(tx, mailbox) == ""
        for away in (Absence("Soon"), AWAY):  # the second takes the place of the first
            assert absence.put(tx, mailbox, away, LIMITS) == "mine"
            made = scripts.get(tx, mailbox, "mine")
            language.read(made.encode(), limit=10_000)
            assert made.count("automatic reply begins") == 1
            assert absence.find(tx, mailbox) == away.script()
        assert absence.take_out(tx, mailbox, LIMITS)
        assert scripts.get(tx, mailbox, "mine") == text
        assert not absence.take_out(tx, mailbox, LIMITS)
        assert [(one.name, one.active) for one in scripts.all_of(tx, mailbox)] == [("mine", True)]


def test_who_has_no_script_gets_one_for_as_long_as_it_takes(store: Store, organization: Organization) -> None:
    owner = populate(store, organization).ids["alice"]
    with store.transaction(organization.number) as tx:
        mailbox = access.open_for_upkeep(tx, owner)
        assert absence.put(tx, mailbox, AWAY, LIMITS) == absence.NAME
        assert [(one.name, one.active) for one in scripts.all_of(tx, mailbox)] == [(absence.NAME, True)]
        assert absence.take_out(tx, mailbox, LIMITS)
        assert scripts.all_of(tx, mailbox) == []
        scripts.put(tx, mailbox, absence.NAME, b"keep;", LIMITS)
        with pytest.raises(errors.EntityState):
            absence.put(tx, mailbox, AWAY, LIMITS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": " "},
        {"text": "x\0"},
        {"text": "x", "subject": "two\nlines"},
        {"text": "x", "first": date(2026, 2, 1), "last": date(2026, 1, 1)},
        {"text": "x", "zone": "CET"},
        {"text": "x", "days": 0},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(errors.InvalidParameter):
        Absence(**wrong)  # type: ignore[arg-type]
