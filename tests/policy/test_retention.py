"""What becomes of mail, and when, as pure decisions."""

import pytest

from postroom.model.folders import RECOVERABLE, SYSTEM_FOLDERS
from postroom.policy import retention
from postroom.policy.retention import Action, Disposal, Policy, Rule


def policy(*rules: Rule) -> Policy:
    return Policy("p", "p", None, rules)


@pytest.mark.parametrize(
    ("rule", "role", "disposal"),
    [
        (Rule("INBOX", Action.DELETE, 30), "inbox", Disposal(30, "trash")),
        (Rule("SENT_ITEMS", Action.DELETE, 1), "sent", Disposal(1, "trash")),
        (Rule("DRAFTS", Action.DELETE, 2), "drafts", Disposal(2, "trash")),
        (Rule("JUNK_EMAIL", Action.PERMANENTLY_DELETE, 730), "junk", Disposal(730, None)),
        (Rule("DELETED_ITEMS", Action.DELETE, 7), "trash", Disposal(7, RECOVERABLE.role)),
        (Rule("DELETED_ITEMS", Action.PERMANENTLY_DELETE, 7), "trash", Disposal(7, None)),
        (Rule("INBOX", Action.NONE, 30), "inbox", None),
        (Rule("INBOX", Action.NONE), "inbox", None),
        (Rule("INBOX", Action.DELETE, 30), "trash", None),
    ],
)
def test_each_action_on_each_folder(rule: Rule, role: str, disposal: Disposal | None) -> None:
    assert retention.decide(policy(rule), role) == disposal


def test_recoverable_items_go_after_thirty_days_whatever_the_policy_says() -> None:
    for one in (None, policy(), policy(Rule("DELETED_ITEMS", Action.NONE))):
        assert retention.decide(one, RECOVERABLE.role) == Disposal(30, None)


def test_every_folder_a_policy_names_is_one_that_every_mailbox_has() -> None:
    assert set(retention.ROLES.values()) == {folder.role for folder in SYSTEM_FOLDERS if folder.holds == "message"}


def test_time_is_up_at_the_end_of_the_period() -> None:
    assert retention.expiry(Disposal(2, None), 1_000_000.0) == 1_000_000.0 - 2 * 86_400
