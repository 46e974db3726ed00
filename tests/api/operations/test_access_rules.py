"""Access control rules by boto3."""

import pytest

from tests.api.operations.conftest import Api

USER = "somebody-with-mail"
ADDRESS = "10.16.0.7"


@pytest.fixture
def user(api: Api) -> str:
    user: str = api("create_user", Name=USER, DisplayName="Somebody", Password="Correct-Horse-7x")["UserId"]
    return user


def put(api: Api, name: str, effect: str = "DENY", **conditions: list[str]) -> None:
    assert api("put_access_control_rule", Name=name, Effect=effect, Description="A rule", **conditions) == {}


def effect(api: Api, user: str, action: str = "IMAP", address: str = ADDRESS) -> tuple[str, list[str]]:
    answer = api("get_access_control_effect", IpAddress=address, Action=action, UserId=user)
    return answer["Effect"], answer["MatchedRules"]


def role(api: Api, name: str = "migration") -> str:
    given: str = api("create_impersonation_role", Name=name, Type="FULL_ACCESS", Rules=[])["ImpersonationRoleId"]
    return given


def test_an_organization_starts_with_one_rule_of_no_time(api: Api) -> None:
    (rule,) = api("list_access_control_rules")["Rules"]
    assert (rule.pop("DateCreated").timestamp(), rule.pop("DateModified").timestamp()) == (0.0, 0.0)
    assert rule == {"Name": "default", "Effect": "ALLOW", "Description": "Default WorkMail Rule"}


def test_a_rule_comes_back_as_it_was_put(api: Api, user: str) -> None:
    conditions = {
        "IpRanges": ["10.0.0.0/8", "192.0.2.7/32"],
        "NotIpRanges": ["10.1.0.0/16"],
        "Actions": ["IMAP", "SMTP"],
        "NotActions": ["WebMail"],
        "UserIds": [user],
        "ImpersonationRoleIds": [role(api)],
        "NotImpersonationRoleIds": [role(api, "other")],
    }
    put(api, "one", **conditions)
    rule = next(rule for rule in api("list_access_control_rules")["Rules"] if rule["Name"] == "one")
    assert rule.pop("DateCreated") == rule.pop("DateModified")
    assert rule == {"Name": "one", "Effect": "DENY", "Description": "A rule", **conditions}


def test_a_rule_put_again_is_replaced_and_as_old_as_before(api: Api, user: str) -> None:
    put(api, "default", "ALLOW", NotUserIds=[USER])
    (rule,) = api("list_access_control_rules")["Rules"]
    assert rule["DateCreated"].timestamp() == 0.0
    assert rule["DateModified"].timestamp() > 0.0
    assert rule["NotUserIds"] == [user], "a name is kept as the id of whom it means now"
    put(api, "default", "ALLOW")
    assert "NotUserIds" not in api("list_access_control_rules")["Rules"][0]


def test_only_the_rules_that_decide_are_named(api: Api, user: str) -> None:
    other = api("create_user", Name="another-person", DisplayName="", Password="Correct-Horse-7x")["UserId"]
    assert effect(api, user) == ("ALLOW", ["default"])
    put(api, "myRule", UserIds=[user])
    put(api, "no-imap-there", Actions=["IMAP"], IpRanges=["10.16.0.0/16"])
    assert effect(api, user) == ("DENY", ["myRule", "no-imap-there"])
    assert effect(api, user, address="10.17.0.1") == ("DENY", ["myRule"])
    assert effect(api, USER, action="EWS") == ("DENY", ["myRule"])
    assert effect(api, other) == ("DENY", ["no-imap-there"])
    assert effect(api, other, action="WindowsOutlook") == ("ALLOW", ["default"])


def test_without_rules_everybody_is_kept_out_and_removing_what_is_not_there_is_quiet(api: Api, user: str) -> None:
    for _ in range(2):
        assert api("delete_access_control_rule", Name="default") == {}
    assert api("list_access_control_rules")["Rules"] == []
    assert effect(api, user) == ("DENY", [])


def test_ten_rules_and_no_more(api: Api) -> None:
    for number in range(9):
        put(api, f"rule-{number}", "ALLOW")
    code = api.fails("put_access_control_rule", Name="more", Effect="ALLOW", Description="A rule")
    assert code == "LimitExceededException"
    put(api, "rule-0")
    assert len(api("list_access_control_rules")["Rules"]) == 10


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        ({"Actions": ["IMAP", "POP"]}, "InvalidParameterException"),
        ({"NotActions": ["CalDAV"]}, "InvalidParameterException"),
        ({"UserIds": ["nobody-of-this-name"]}, "EntityNotFoundException"),
        ({"NotUserIds": ["a-group-of-people"]}, "EntityNotFoundException"),
        ({"ImpersonationRoleIds": ["none"]}, "ResourceNotFoundException"),
        ({"NotImpersonationRoleIds": ["none"]}, "ResourceNotFoundException"),
    ],
)
def test_what_cannot_be_meant_is_refused(api: Api, conditions: dict[str, list[str]], code: str) -> None:
    api("create_group", Name="a-group-of-people")
    assert api.fails("put_access_control_rule", Name="one", Effect="DENY", Description="A rule", **conditions) == code
    assert [rule["Name"] for rule in api("list_access_control_rules")["Rules"]] == ["default"]


def test_an_effect_is_that_of_a_user_or_of_a_role_which_uses_ews(api: Api, user: str) -> None:
    given, other = role(api), role(api, "other")
    put(api, "no-migration", ImpersonationRoleIds=[given])

    def asked(**who: str) -> dict[str, object]:
        return api("get_access_control_effect", IpAddress=ADDRESS, Action="EWS", **who)

    assert asked(ImpersonationRoleId=given) == {"Effect": "DENY", "MatchedRules": ["no-migration"]}
    assert asked(ImpersonationRoleId=other) == asked(UserId=user) == {"Effect": "ALLOW", "MatchedRules": ["default"]}

    def refused(**params: str) -> str:
        return api.fails("get_access_control_effect", **{"IpAddress": ADDRESS, "Action": "EWS", **params})

    assert refused() == "InvalidParameterException"
    assert refused(UserId=user, ImpersonationRoleId=given) == "InvalidParameterException"
    assert refused(ImpersonationRoleId=given, Action="IMAP") == "InvalidParameterException"
    assert refused(ImpersonationRoleId="none") == "ResourceNotFoundException"
    assert refused(UserId=user, Action="ews") == "InvalidParameterException"
    assert refused(UserId="nobody-of-this-name") == "EntityNotFoundException"
