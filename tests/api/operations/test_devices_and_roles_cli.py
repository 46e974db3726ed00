"""The AWS command line, within this process: the examples of the administrator guide, from the first rule to the last token."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from awscli.clidriver import create_clidriver

from postroom.policy.iam import access_keys
from postroom.storage.engine import REGISTRY, Store

from .conftest import ALLOW_ALL, Api

Aws = Callable[..., Any]


@pytest.fixture
def aws(api: Api, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Aws:
    """Run a command for the example organization; gives what it prints."""
    with store.transaction(REGISTRY) as tx:
        key = access_keys.issue(tx, name="cli", policy=ALLOW_ALL)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key.secret)
    meta = api.client.meta

    def run(command: str, **options: str) -> Any:
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", *value.split())]
        where = ["--endpoint-url", meta.endpoint_url, "--region", meta.region_name, "--output", "json"]
        code = create_clidriver().main([*where, "workmail", command, "--organization-id", api.organization.id, *words])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return json.loads(printed.out) if printed.out.strip() else None

    return run


@pytest.fixture
def alice(api: Api) -> str:
    user: str = api("create_user", Name="alice", DisplayName="Alice")["UserId"]
    api("register_to_work_mail", EntityId=user, Email="alice@example.test")
    return user


@pytest.mark.effect(
    "CreateMobileDeviceAccessRule",
    "UpdateMobileDeviceAccessRule",
    "DeleteMobileDeviceAccessRule",
    "ListMobileDeviceAccessRules",
    "GetMobileDeviceAccessEffect",
    "PutMobileDeviceAccessOverride",
    "GetMobileDeviceAccessOverride",
    "DeleteMobileDeviceAccessOverride",
    "ListMobileDeviceAccessOverrides",
)
def test_devices(aws: Aws, alice: str) -> None:
    made = aws("create-mobile-device-access-rule", name="BlockAllAndroid", effect="DENY", device_types="Android HTC")
    assert aws("get-mobile-device-access-effect", device_type="htcOneX")["MatchedRules"] == [made | {"Name": "BlockAllAndroid"}]
    rule_id = made["MobileDeviceAccessRuleId"]
    aws(
        "update-mobile-device-access-rule",
        mobile_device_access_rule_id=rule_id,
        name="No",
        effect="DENY",
        not_device_user_agents="iOS/14.2",
    )
    rule = aws("list-mobile-device-access-rules")["Rules"][1]
    assert {name: value for name, value in rule.items() if not name.startswith("Date")} == {
        "MobileDeviceAccessRuleId": rule_id,
        "Name": "No",
        "Effect": "DENY",
        "NotDeviceUserAgents": ["iOS/14.2"],
    }
    assert aws("get-mobile-device-access-effect", device_user_agent="iOS/14.2")["Effect"] == "ALLOW"
    assert aws("get-mobile-device-access-effect", device_user_agent="Android-Mail/7.7")["Effect"] == "DENY"
    aws("delete-mobile-device-access-rule", mobile_device_access_rule_id=rule_id)
    assert [rule["Name"] for rule in aws("list-mobile-device-access-rules")["Rules"]] == ["default"]

    aws("put-mobile-device-access-override", user_id="alice", device_id="ABC123", effect="DENY", description="Lost")
    assert aws("get-mobile-device-access-override", user_id=alice, device_id="abc123")["Effect"] == "DENY"
    assert [row["DeviceId"] for row in aws("list-mobile-device-access-overrides", user_id="alice@example.test")["Overrides"]] == ["ABC123"]
    aws("delete-mobile-device-access-override", user_id=alice, device_id="ABC123")
    assert aws("list-mobile-device-access-overrides", device_id="ABC123")["Overrides"] == []


@pytest.mark.effect(
    "CreateImpersonationRole",
    "UpdateImpersonationRole",
    "DeleteImpersonationRole",
    "GetImpersonationRole",
    "ListImpersonationRoles",
    "GetImpersonationRoleEffect",
    "AssumeImpersonationRole",
)
def test_roles(aws: Aws, alice: str) -> None:
    id = aws("create-impersonation-role", name="Calendar", type="READ_ONLY", rules="ImpersonationRuleId=all,Effect=ALLOW")[
        "ImpersonationRoleId"
    ]
    assert aws("get-impersonation-role-effect", impersonation_role_id=id, target_user="alice") == {
        "Type": "READ_ONLY",
        "Effect": "ALLOW",
        "MatchedRules": [{"ImpersonationRuleId": "all"}],
    }
    assert aws("assume-impersonation-role", impersonation_role_id=id)["ExpiresIn"] == 900
    rules = f"ImpersonationRuleId=alice,Name=Alice,Effect=DENY,TargetUsers={alice}"
    aws("update-impersonation-role", impersonation_role_id=id, name="Calendar", type="FULL_ACCESS", rules=rules)
    assert aws("get-impersonation-role", impersonation_role_id=id)["Rules"] == [
        {"ImpersonationRuleId": "alice", "Name": "Alice", "Effect": "DENY", "TargetUsers": [alice]}
    ]
    assert aws("get-impersonation-role-effect", impersonation_role_id=id, target_user=alice)["Effect"] == "DENY"
    assert [role["Type"] for role in aws("list-impersonation-roles")["Roles"]] == ["FULL_ACCESS"]
    aws("delete-impersonation-role", impersonation_role_id=id)
    assert aws("list-impersonation-roles")["Roles"] == []
