"""Registration, aliases, quotas by boto3."""

import pytest

from .conftest import Api


@pytest.fixture
def alice(api: Api) -> str:
    user_id: str = api("create_user", Name="alice", DisplayName="Alice")["UserId"]
    return user_id


@pytest.fixture
def registered(api: Api, alice: str) -> str:
    api("register_to_work_mail", EntityId=alice, Email="alice@example.test")
    return alice


def aliases(api: Api, entity: str) -> list[str]:
    return sorted(api("list_aliases", EntityId=entity)["Aliases"])


def test_registering_again_succeeds_with_the_same_address_alone(api: Api, registered: str) -> None:
    api("register_to_work_mail", EntityId=registered, Email="alice@example.test")
    again = api.fails("register_to_work_mail", EntityId=registered, Email="other@example.test")
    assert again == "EntityAlreadyRegisteredException"


def test_what_registration_needs(api: Api, alice: str) -> None:
    def fails(entity: str, email: str) -> str:
        return api.fails("register_to_work_mail", EntityId=entity, Email=email)

    assert fails("nobody", "nobody@example.test") == "EntityNotFoundException"
    assert fails(alice, "alice@elsewhere.test") == "MailDomainNotFoundException"
    api("register_mail_domain", DomainName="pending.test")
    assert fails(alice, "alice@pending.test") == "MailDomainStateException"
    other = api("create_group", Name="staff")["GroupId"]
    api("register_to_work_mail", EntityId=other, Email="staff@example.test")
    assert fails(alice, "STAFF@example.test") == "EmailAddressInUseException"


def test_deregistering_twice_succeeds_and_frees_the_address(api: Api, registered: str) -> None:
    api("create_alias", EntityId=registered, Alias="ally@example.test")
    for _ in range(2):
        api("deregister_from_work_mail", EntityId=registered)
    shown = api("describe_user", UserId=registered)
    assert shown["State"] == "DISABLED"
    assert "Email" not in shown
    assert shown["MailboxDeprovisionedDate"] == shown["DisabledDate"]
    assert api("list_aliases", EntityId=registered) == {"Aliases": []}
    assert api.fails("describe_entity", Email="alice@example.test") == "EntityNotFoundException"
    assert api.fails("deregister_from_work_mail", EntityId="nobody") == "EntityNotFoundException"
    other = api("create_group", Name="staff")["GroupId"]
    api("register_to_work_mail", EntityId=other, Email="ally@example.test")


def test_an_address_describes_its_owner(api: Api, registered: str) -> None:
    api("create_alias", EntityId=registered, Alias="ally@example.test")
    for email in ("alice@example.test", "ALLY@example.test"):
        assert api("describe_entity", Email=email) == {"EntityId": registered, "Name": "alice", "Type": "USER"}


def test_aliases_list_the_primary_address_and_repeat_without_complaint(api: Api, registered: str) -> None:
    for alias in ("ally@example.test", "ally@example.test", "alice@example.test", "ally@example.postroom.test"):
        api("create_alias", EntityId=registered, Alias=alias)
    assert aliases(api, registered) == ["alice@example.test", "ally@example.postroom.test", "ally@example.test"]
    for _ in range(2):
        api("delete_alias", EntityId=registered, Alias="ALLY@example.test")
    assert aliases(api, registered) == ["alice@example.test", "ally@example.postroom.test"]
    primary = api.fails("delete_alias", EntityId=registered, Alias="alice@example.test")
    assert primary == "InvalidParameterException"


def test_what_an_alias_needs(api: Api, alice: str) -> None:
    def fails(entity: str, alias: str) -> str:
        return api.fails("create_alias", EntityId=entity, Alias=alias)

    assert fails(alice, "ally@example.test") == "EntityStateException"
    api("register_to_work_mail", EntityId=alice, Email="alice@example.test")
    staff = api("create_group", Name="staff")["GroupId"]
    api("register_to_work_mail", EntityId=staff, Email="staff@example.test")
    assert fails(alice, "staff@example.test") == "EmailAddressInUseException"
    assert fails(alice, "ally@elsewhere.test") == "MailDomainNotFoundException"
    assert fails("nobody-at-all", "ally@example.test") == "EntityNotFoundException"
    assert api.fails("list_aliases", EntityId="nobody-at-all") == "EntityNotFoundException"
    assert api.fails("delete_alias", EntityId="nobody-at-all", Alias="ally@example.test") == "EntityNotFoundException"
    for number in range(100):
        api("create_alias", EntityId=staff, Alias=f"a{number}@example.test")
    assert fails(staff, "a100@example.test") == "LimitExceededException"
    listed = api("list_aliases", EntityId=staff)
    assert len(listed["Aliases"]) == 100
    rest = api("list_aliases", EntityId=staff, NextToken=listed["NextToken"])
    assert len(rest["Aliases"]) == 1
    assert "NextToken" not in rest


def test_the_primary_address_swaps(api: Api, registered: str) -> None:
    api("update_primary_email_address", EntityId="alice", Email="new@example.test")
    assert api("describe_user", UserId=registered)["Email"] == "new@example.test"
    assert aliases(api, registered) == ["alice@example.test", "new@example.test"]
    api("update_primary_email_address", EntityId="new@example.test", Email="alice@example.test")
    assert aliases(api, registered) == ["alice@example.test", "new@example.test"]
    assert api("describe_user", UserId=registered)["Email"] == "alice@example.test"


def test_what_a_primary_address_needs(api: Api, registered: str) -> None:
    def fails(entity: str, email: str) -> str:
        return api.fails("update_primary_email_address", EntityId=entity, Email=email)

    bob = api("create_user", Name="bob", DisplayName="")["UserId"]
    assert fails(bob, "bob@example.test") == "EntityStateException"
    api("register_to_work_mail", EntityId=bob, Email="bob@example.test")
    assert fails(bob, "alice@example.test") == "EmailAddressInUseException"
    assert fails(bob, "bob@elsewhere.test") == "MailDomainNotFoundException"
    assert fails("nobody", "nobody@example.test") == "EntityNotFoundException"
    api("register_mail_domain", DomainName="pending.test")
    assert fails(bob, "bob@pending.test") == "MailDomainStateException"


def test_quotas(api: Api, alice: str) -> None:
    assert api.fails("get_mailbox_details", UserId=alice) == "EntityNotFoundException"
    assert api.fails("update_mailbox_quota", UserId=alice, MailboxQuota=10) == "EntityStateException"
    api("register_to_work_mail", EntityId=alice, Email="alice@example.test")
    shown = api("get_mailbox_details", UserId="alice@example.test")
    assert shown == {"MailboxQuota": 51200, "MailboxSize": 0.0}
    assert isinstance(shown["MailboxSize"], float)
    api("update_mailbox_quota", UserId="alice", MailboxQuota=12)
    assert api("get_mailbox_details", UserId=alice)["MailboxQuota"] == 12
    assert api.fails("update_mailbox_quota", UserId=alice, MailboxQuota=51201) == "InvalidParameterException"
    assert api.fails("update_mailbox_quota", UserId="nobody", MailboxQuota=1) == "EntityNotFoundException"
    assert api.fails("get_mailbox_details", UserId="nobody") == "EntityNotFoundException"


def test_the_same_user_gets_the_mailbox_back(api: Api, registered: str) -> None:
    api("update_mailbox_quota", UserId=registered, MailboxQuota=7)
    api("deregister_from_work_mail", EntityId=registered)
    api("register_to_work_mail", EntityId=registered, Email="again@example.test")
    assert api("get_mailbox_details", UserId=registered)["MailboxQuota"] == 7
