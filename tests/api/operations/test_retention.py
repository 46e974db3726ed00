"""The retention policy by boto3."""

from .conftest import Api

RULES = [
    {"Name": "INBOX", "Action": "DELETE", "Period": 730},
    {"Name": "DELETED_ITEMS", "Action": "PERMANENTLY_DELETE", "Period": 1},
    {"Name": "SENT_ITEMS", "Action": "NONE", "Period": 5},
    {"Name": "DRAFTS", "Action": "NONE"},
]


def test_a_policy_is_put_shown_replaced_and_deleted(api: Api) -> None:
    assert api.fails("get_default_retention_policy") == "EntityNotFoundException"
    assert api("put_retention_policy", Name="first", Description="All of it: 'it', too!", FolderConfigurations=RULES) == {}
    shown = api("get_default_retention_policy")
    identifier = shown.pop("Id")
    assert shown == {"Name": "first", "Description": "All of it: 'it', too!", "FolderConfigurations": RULES}
    api("put_retention_policy", Name="second", FolderConfigurations=RULES[:1])
    assert api("get_default_retention_policy") == {"Id": identifier, "Name": "second", "FolderConfigurations": RULES[:1]}
    assert api("delete_retention_policy", Id="another") == {}
    assert api("get_default_retention_policy")["Id"] == identifier
    for _ in range(2):
        assert api("delete_retention_policy", Id=identifier) == {}
    assert api.fails("get_default_retention_policy") == "EntityNotFoundException"


def test_there_is_one_policy_whatever_its_id(api: Api) -> None:
    api("put_retention_policy", Id="mine", Name="first", FolderConfigurations=[])
    assert api("get_default_retention_policy") == {"Id": "mine", "Name": "first", "FolderConfigurations": []}
    api("put_retention_policy", Id="yours", Name="first", FolderConfigurations=[])
    assert api("get_default_retention_policy")["Id"] == "yours"
    api("delete_retention_policy", Id="mine")
    assert api("get_default_retention_policy")["Id"] == "yours"


def test_what_is_refused_changes_nothing(api: Api) -> None:
    api("put_retention_policy", Name="kept", FolderConfigurations=RULES)

    def fails(*rules: dict[str, object]) -> str:
        return api.fails("put_retention_policy", Name="refused", FolderConfigurations=list(rules))

    inbox = {"Name": "INBOX", "Action": "DELETE", "Period": 1}
    assert fails(inbox, {"Name": "INBOX", "Action": "NONE"}) == "InvalidParameterException"
    assert fails(*[inbox] * 1000) == "InvalidParameterException"
    for action in ("DELETE", "PERMANENTLY_DELETE"):
        assert fails({"Name": "INBOX", "Action": action}) == "InvalidParameterException"
    assert api("get_default_retention_policy")["Name"] == "kept"
