"""The AWS command line, unchanged, against the whole program: every operation of the API as an administrator would type it.

It runs within this process, as starting it takes longer than anything it does. Nothing is set but an endpoint and a key. Test domains
are WorkMail's (`[domains] base`), so that what spells ALIAS.awsapps.com works.
"""

from __future__ import annotations

import imaplib
import io
import json
import os
import re
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from awscli.clidriver import create_clidriver
from botocore import xform_name

from tests.program import COMMAND, Ready, demo, running

CONFIGURATION = """
data = "."
[domains]
base = "awsapps.com"
verify = false
[exports.buckets]
archive = "archive"
"""
PASSWORD = "Correct-Horse-7x"
ACCOUNT = "000000000000"
INSTANCE = "arn:aws:sso:::instance/ssoins-0123456789abcdef"
PATIENCE = 60.0


class CommandLine:
    """`aws workmail COMMAND --organization-id ...`; gives what it prints, or the code of the error."""

    def __init__(self, ready: Ready) -> None:
        self.ready = ready
        self.driver = create_clidriver()
        model = self.driver.session.get_service_model("workmail")
        self.inputs = {xform_name(name, "-"): model.operation_model(name).input_shape.members for name in model.operation_names}

    def __call__(self, command: str, **options: object) -> Any:
        if "OrganizationId" in self.inputs[command]:
            options.setdefault("organization_id", self.ready.organization_id)
        words = [word for name, value in options.items() for word in spell(name.replace("_", "-"), value)]
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = self.driver.main(["workmail", command, *words])
        if code:
            refused = re.search(r"\((\w+)\)", err.getvalue())
            assert refused, err.getvalue()
            return refused[1]
        return json.loads(out.getvalue()) if out.getvalue().strip() else None

    def hire(self, name: str) -> str:
        """Add somebody with a mailbox."""
        user: str = self("create-user", name=name, display_name=name.title(), password=PASSWORD)["UserId"]
        self("register-to-work-mail", entity_id=user, email=f"{name}@{self.ready.domain}")
        return user


def spell(name: str, value: object) -> list[str]:
    """Spell an option: a flag, words, or JSON."""
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, list) and not isinstance(value[0], dict):
        return [f"--{name}", *value]
    return [f"--{name}", str(value) if isinstance(value, str | int) else json.dumps(value)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a demo with WorkMail's test domains and a bucket."""
    folder = tmp_path_factory.mktemp("cli") / "data"
    (folder / "archive").mkdir(parents=True)
    (folder / "postroom.toml").write_text(CONFIGURATION)
    return folder


@pytest.fixture(scope="module")
def aws(data: Path) -> Iterator[CommandLine]:
    """Run that demo, and the command line with its key."""
    with running(demo(data.parent)) as program, pytest.MonkeyPatch.context() as patch:
        ready = program.ready
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_OUTPUT"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ENDPOINT_URL_WORKMAIL", ready.api)
        patch.setenv("AWS_DEFAULT_REGION", ready.region)
        patch.setenv("AWS_ACCESS_KEY_ID", ready.access_key_id)
        patch.setenv("AWS_SECRET_ACCESS_KEY", ready.secret_access_key)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield CommandLine(ready)


def test_every_operation_is_here() -> None:
    model = create_clidriver().session.get_service_model("workmail")
    typed = set(re.findall(r'\b(?:aws|self)\(\s*"([a-z-]+)"', Path(__file__).read_text()))
    assert {xform_name(name, "-") for name in model.operation_names} == typed


@pytest.mark.effect(
    "CreateOrganization",
    "DeleteOrganization",
    "DescribeOrganization",
    "ListOrganizations",
    "TagResource",
    "UntagResource",
    "ListTagsForResource",
    "PutInboundDmarcSettings",
    "DescribeInboundDmarcSettings",
)
def test_organizations(aws: CommandLine) -> None:
    id = aws("create-organization", alias="second")["OrganizationId"]
    second = aws("describe-organization", organization_id=id)
    assert (second["State"], second["DefaultMailDomain"]) == ("Active", "second.awsapps.com")
    aws("tag-resource", resource_arn=second["ARN"], tags="Key=priority,Value=1")
    assert aws("list-tags-for-resource", resource_arn=second["ARN"])["Tags"] == [{"Key": "priority", "Value": "1"}]
    aws("untag-resource", resource_arn=second["ARN"], tag_keys="priority")
    assert aws("list-tags-for-resource", resource_arn=second["ARN"])["Tags"] == []
    aws("put-inbound-dmarc-settings", organization_id=id, enforced=False)
    assert aws("describe-inbound-dmarc-settings", organization_id=id) == {"Enforced": False}
    assert aws("delete-organization", organization_id=id, delete_directory=True)["State"] == "Deleted"
    assert [one["State"] for one in aws("list-organizations")["OrganizationSummaries"]] == ["Active", "Deleted"]
    assert aws("list-users", organization_id=id) == "OrganizationStateException"


@pytest.mark.effect(
    "CreateUser",
    "UpdateUser",
    "DeleteUser",
    "DescribeUser",
    "ListUsers",
    "DescribeEntity",
    "RegisterToWorkMail",
    "DeregisterFromWorkMail",
    "ResetPassword",
    "GetMailboxDetails",
    "UpdateMailboxQuota",
    "UpdatePrimaryEmailAddress",
    "CreateAlias",
    "DeleteAlias",
    "ListAliases",
)
def test_users(aws: CommandLine) -> None:
    carol = aws.hire("carol")
    aws("update-user", user_id="carol", city="Lyon", hidden_from_global_address_list=True)
    known = aws("describe-user", user_id=carol)
    assert (known["City"], known["HiddenFromGlobalAddressList"], known["State"]) == ("Lyon", True, "ENABLED")
    aws("reset-password", user_id=carol, password="Another-Horse-8y")
    assert signs_in(aws.ready, "carol@demo.awsapps.com", "Another-Horse-8y")
    assert not signs_in(aws.ready, "carol@demo.awsapps.com", PASSWORD)
    aws("update-mailbox-quota", user_id=carol, mailbox_quota=40000)
    assert aws("get-mailbox-details", user_id=carol)["MailboxQuota"] == 40000

    aws("create-alias", entity_id=carol, alias="sales@demo.awsapps.com")
    aws("create-alias", entity_id=carol, alias="shop@demo.awsapps.com")
    aws("delete-alias", entity_id=carol, alias="shop@demo.awsapps.com")
    aws("update-primary-email-address", entity_id=carol, email="sales@demo.awsapps.com")
    assert aws("list-aliases", entity_id=carol)["Aliases"] == ["carol@demo.awsapps.com", "sales@demo.awsapps.com"]
    assert aws("describe-entity", email="carol@demo.awsapps.com") == {"EntityId": carol, "Name": "carol", "Type": "USER"}
    assert [one["Id"] for one in aws("list-users", filters="PrimaryEmailPrefix=sales")["Users"]] == [carol]

    assert aws("delete-user", user_id=carol) == "EntityStateException"
    aws("deregister-from-work-mail", entity_id=carol)
    assert not signs_in(aws.ready, "carol@demo.awsapps.com", "Another-Horse-8y")
    aws("delete-user", user_id=carol)
    assert aws("describe-user", user_id=carol) == "EntityNotFoundException"


def signs_in(ready: Ready, email: str, password: str) -> bool:
    """Say whether a mail program gets in."""
    with imaplib.IMAP4_SSL(*ready.imaps, ssl_context=ready.tls(), timeout=30) as client:
        try:
            client.login(email, password)
        except imaplib.IMAP4.error:
            return False
        return True


@pytest.mark.effect(
    "CreateGroup",
    "UpdateGroup",
    "DeleteGroup",
    "DescribeGroup",
    "ListGroups",
    "ListGroupsForEntity",
    "AssociateMemberToGroup",
    "DisassociateMemberFromGroup",
    "ListGroupMembers",
)
def test_groups(aws: CommandLine) -> None:
    team = aws("create-group", name="team")["GroupId"]
    aws("register-to-work-mail", entity_id=team, email="team@demo.awsapps.com")
    aws("update-group", group_id=team, hidden_from_global_address_list=True)
    known = aws("describe-group", group_id="team@demo.awsapps.com")
    assert (known["GroupId"], known["HiddenFromGlobalAddressList"]) == (team, True)
    aws("associate-member-to-group", group_id=team, member_id="alice")
    assert [(one["Name"], one["Type"]) for one in aws("list-group-members", group_id=team)["Members"]] == [("alice", "USER")]
    assert aws("list-groups-for-entity", entity_id="alice")["Groups"] == [{"GroupId": team, "GroupName": "team"}]
    aws("disassociate-member-from-group", group_id=team, member_id="alice")
    assert aws("list-group-members", group_id=team)["Members"] == []
    assert [one["Id"] for one in aws("list-groups", filters="NamePrefix=te")["Groups"]] == [team]
    aws("deregister-from-work-mail", entity_id=team)
    aws("delete-group", group_id=team)
    assert aws("list-groups")["Groups"] == []


@pytest.mark.effect(
    "CreateResource",
    "UpdateResource",
    "DeleteResource",
    "DescribeResource",
    "ListResources",
    "AssociateDelegateToResource",
    "DisassociateDelegateFromResource",
    "ListResourceDelegates",
)
def test_resources(aws: CommandLine) -> None:
    room = aws("create-resource", name="blue", type="ROOM")["ResourceId"]
    aws("update-resource", resource_id=room, name="green", booking_options="AutoAcceptRequests=true,AutoDeclineConflictingRequests=true")
    known = aws("describe-resource", resource_id=room)
    assert (known["Name"], known["BookingOptions"]["AutoAcceptRequests"]) == ("green", True)
    aws("associate-delegate-to-resource", resource_id=room, entity_id="bob")
    assert [one["Type"] for one in aws("list-resource-delegates", resource_id=room)["Delegates"]] == ["USER"]
    aws("disassociate-delegate-from-resource", resource_id=room, entity_id="bob")
    assert aws("list-resource-delegates", resource_id=room)["Delegates"] == []
    assert aws("list-resources")["Resources"] == [{"Id": room, "Name": "green", "Type": "ROOM", "State": "DISABLED"}]
    aws("delete-resource", resource_id=room)
    assert aws("list-resources")["Resources"] == []


@pytest.mark.effect("PutMailboxPermissions", "DeleteMailboxPermissions", "ListMailboxPermissions")
def test_permissions(aws: CommandLine) -> None:
    dan = aws.hire("dan")
    aws("put-mailbox-permissions", entity_id="alice", grantee_id=dan, permission_values=["FULL_ACCESS", "SEND_AS"])
    (grant,) = aws("list-mailbox-permissions", entity_id="alice")["Permissions"]
    assert (grant["GranteeId"], grant["GranteeType"], sorted(grant["PermissionValues"])) == (dan, "USER", ["FULL_ACCESS", "SEND_AS"])
    aws("delete-mailbox-permissions", entity_id="alice", grantee_id=dan)
    assert aws("list-mailbox-permissions", entity_id="alice")["Permissions"] == []


@pytest.mark.effect("PutAccessControlRule", "DeleteAccessControlRule", "ListAccessControlRules", "GetAccessControlEffect")
def test_access_rules(aws: CommandLine) -> None:
    erin = aws.hire("erin")
    aws("put-access-control-rule", name="myRule", effect="DENY", description="my rule", user_ids=[erin], actions=["IMAP"])
    assert [rule["Name"] for rule in aws("list-access-control-rules")["Rules"]] == ["default", "myRule"]
    asked = {"ip_address": "192.0.2.0", "action": "IMAP", "user_id": erin}
    assert aws("get-access-control-effect", **asked) == {"Effect": "DENY", "MatchedRules": ["myRule"]}
    assert not signs_in(aws.ready, "erin@demo.awsapps.com", PASSWORD)
    aws("delete-access-control-rule", name="myRule")
    assert aws("get-access-control-effect", **asked)["Effect"] == "ALLOW"
    assert signs_in(aws.ready, "erin@demo.awsapps.com", PASSWORD)


def test_devices(aws: CommandLine) -> None:
    rule = aws("create-mobile-device-access-rule", name="phones", effect="DENY", device_types=["phone"])["MobileDeviceAccessRuleId"]
    aws("update-mobile-device-access-rule", mobile_device_access_rule_id=rule, name="tablets", effect="DENY", device_types=["tablet"])
    assert [one["Name"] for one in aws("list-mobile-device-access-rules")["Rules"]] == ["default", "tablets"]
    assert aws("get-mobile-device-access-effect", device_type="tablet")["Effect"] == "DENY"
    aws("delete-mobile-device-access-rule", mobile_device_access_rule_id=rule)
    assert aws("get-mobile-device-access-effect", device_type="tablet")["Effect"] == "ALLOW"
    aws("put-mobile-device-access-override", user_id="bob", device_id="ABC123", effect="ALLOW")
    assert aws("get-mobile-device-access-override", user_id="bob", device_id="ABC123")["Effect"] == "ALLOW"
    assert [one["DeviceId"] for one in aws("list-mobile-device-access-overrides")["Overrides"]] == ["ABC123"]
    aws("delete-mobile-device-access-override", user_id="bob", device_id="ABC123")
    assert aws("list-mobile-device-access-overrides")["Overrides"] == []


def test_impersonation(aws: CommandLine) -> None:
    rules = [{"ImpersonationRuleId": "all", "Effect": "ALLOW"}]
    role = aws("create-impersonation-role", name="calendar", type="READ_ONLY", rules=rules)["ImpersonationRoleId"]
    assert aws("assume-impersonation-role", impersonation_role_id=role)["ExpiresIn"] == 900
    assert aws("get-impersonation-role-effect", impersonation_role_id=role, target_user="alice")["Effect"] == "ALLOW"
    aws("update-impersonation-role", impersonation_role_id=role, name="calendar", type="FULL_ACCESS", rules=rules)
    assert aws("get-impersonation-role", impersonation_role_id=role)["Type"] == "FULL_ACCESS"
    assert [one["Name"] for one in aws("list-impersonation-roles")["Roles"]] == ["calendar"]
    aws("delete-impersonation-role", impersonation_role_id=role)
    assert aws("list-impersonation-roles")["Roles"] == []


@pytest.mark.effect("RegisterMailDomain", "DeregisterMailDomain", "GetMailDomain", "ListMailDomains", "UpdateDefaultMailDomain")
def test_domains(aws: CommandLine) -> None:
    aws("register-mail-domain", domain_name="shop.example")
    domain = aws("get-mail-domain", domain_name="shop.example")
    assert domain["OwnershipVerificationStatus"] == "VERIFIED"
    assert {record["Type"] for record in domain["Records"]} == {"MX", "TXT", "CNAME"}
    aws("update-default-mail-domain", domain_name="shop.example")
    assert aws("list-mail-domains")["MailDomains"] == [
        {"DomainName": "demo.awsapps.com", "DefaultDomain": False},
        {"DomainName": "shop.example", "DefaultDomain": True},
    ]
    aws("update-default-mail-domain", domain_name="demo.awsapps.com")
    aws("deregister-mail-domain", domain_name="shop.example")
    assert aws("get-mail-domain", domain_name="shop.example") == "MailDomainNotFoundException"


@pytest.mark.effect(
    "CreateAvailabilityConfiguration",
    "UpdateAvailabilityConfiguration",
    "DeleteAvailabilityConfiguration",
    "ListAvailabilityConfigurations",
)
def test_availability(aws: CommandLine) -> None:
    provider = "EwsEndpoint=https://127.0.0.1/EWS/Exchange.asmx,EwsUsername={},EwsPassword=secret"
    aws("create-availability-configuration", domain_name="partner.example", ews_provider=provider.format("one"))
    aws("update-availability-configuration", domain_name="partner.example", ews_provider=provider.format("two"))
    (known,) = aws("list-availability-configurations")["AvailabilityConfigurations"]
    assert (known["DomainName"], known["ProviderType"], known["EwsProvider"]["EwsUsername"]) == ("partner.example", "EWS", "two")
    tested = aws("test-availability-configuration", domain_name="partner.example")
    assert (tested["TestPassed"], bool(tested["FailureReason"])) == (False, True)
    aws("delete-availability-configuration", domain_name="partner.example")
    assert aws("list-availability-configurations")["AvailabilityConfigurations"] == []


@pytest.mark.effect("DescribeEmailMonitoringConfiguration", "DeleteEmailMonitoringConfiguration")
def test_monitoring(aws: CommandLine) -> None:
    group = f"arn:aws:logs:{aws.ready.region}:{ACCOUNT}:log-group:/aws/workmail/emailevents/demo:*"
    role = f"arn:aws:iam::{ACCOUNT}:role/events"
    aws("put-email-monitoring-configuration", log_group_arn=group, role_arn=role)
    assert aws("describe-email-monitoring-configuration") == {"RoleArn": role, "LogGroupArn": group}
    aws("delete-email-monitoring-configuration")
    assert aws("describe-email-monitoring-configuration") == "ResourceNotFoundException"


@pytest.mark.effect(
    "CreateIdentityCenterApplication",
    "PutIdentityProviderConfiguration",
    "DescribeIdentityProviderConfiguration",
    "DeleteIdentityProviderConfiguration",
    "ListPersonalAccessTokens",
    "GetPersonalAccessTokenMetadata",
    "DeletePersonalAccessToken",
)
def test_identity(aws: CommandLine, data: Path) -> None:
    application = aws("create-identity-center-application", name="mail", instance_arn=INSTANCE)["ApplicationArn"]
    aws(
        "put-identity-provider-configuration",
        authentication_mode="IDENTITY_PROVIDER_ONLY",
        identity_center_configuration=f"InstanceArn={INSTANCE},ApplicationArn={application}",
        personal_access_token_configuration="Status=ACTIVE,LifetimeInDays=30",
    )
    assert aws("describe-identity-provider-configuration")["AuthenticationMode"] == "IDENTITY_PROVIDER_ONLY"
    frank = aws.hire("frank")
    words = ["tokens", "--config", str(data / "postroom.toml"), "--organization", "demo", "create", frank, "--name", "phone"]
    printed = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=True, timeout=60).stdout
    text, token = re.findall(r"^(?:Token|Id): +(\S+)$", printed, re.MULTILINE)
    assert signs_in(aws.ready, "frank@demo.awsapps.com", text)
    assert not signs_in(aws.ready, "frank@demo.awsapps.com", PASSWORD)

    (listed,) = aws("list-personal-access-tokens", user_id=frank)["PersonalAccessTokenSummaries"]
    assert (listed["PersonalAccessTokenId"], listed["Name"], listed["Scopes"]) == (token, "phone", ["All"])
    assert aws("get-personal-access-token-metadata", personal_access_token_id=token)["UserId"] == frank
    aws("delete-personal-access-token", personal_access_token_id=token)
    assert not signs_in(aws.ready, "frank@demo.awsapps.com", text)
    aws("delete-identity-provider-configuration")
    assert signs_in(aws.ready, "frank@demo.awsapps.com", PASSWORD)
    aws("delete-identity-center-application", application_arn=application)


def test_retention(aws: CommandLine) -> None:
    folders = [{"Name": "JUNK_EMAIL", "Action": "PERMANENTLY_DELETE", "Period": 30}]
    aws("put-retention-policy", name="short", folder_configurations=folders)
    policy = aws("get-default-retention-policy")
    assert policy["FolderConfigurations"] == folders
    aws("delete-retention-policy", id=policy["Id"])
    assert aws("get-default-retention-policy") == "EntityNotFoundException"


@pytest.mark.effect("StartMailboxExportJob", "DescribeMailboxExportJob", "ListMailboxExportJobs")
def test_exports(aws: CommandLine, data: Path) -> None:
    where = {"s3_bucket_name": "archive", "s3_prefix": "backup/alice/"}
    arns = {"role_arn": f"arn:aws:iam::{ACCOUNT}:role/export", "kms_key_arn": f"arn:aws:kms:{aws.ready.region}:{ACCOUNT}:key/1234abcd"}
    job = aws("start-mailbox-export-job", entity_id="alice", description="Backup", **where, **arns)["JobId"]
    until = time.monotonic() + PATIENCE
    while (state := aws("describe-mailbox-export-job", job_id=job))["State"] == "RUNNING" and time.monotonic() < until:
        time.sleep(0.1)
    assert state["State"] == "COMPLETED", state
    assert (state["State"], state["EstimatedProgress"]) == ("COMPLETED", 100)
    assert zipfile.ZipFile(data / "archive" / state["S3Path"]).testzip() is None
    aws("cancel-mailbox-export-job", job_id=job)
    assert [(one["JobId"], one["State"]) for one in aws("list-mailbox-export-jobs")["Jobs"]] == [(job, "COMPLETED")]
