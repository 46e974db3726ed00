"""Email monitoring configurations by boto3."""

import pytest
from botocore.exceptions import ClientError

from .conftest import Api

GROUP = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/workmail/emailevents/example:*"
ROLE = "arn:aws:iam::000000000000:role/workmail-events"


def test_a_configuration_is_put_described_changed_and_deleted(api: Api) -> None:
    assert api.fails("describe_email_monitoring_configuration") == "ResourceNotFoundException"
    assert api("put_email_monitoring_configuration", LogGroupArn=GROUP, RoleArn=ROLE) == {}
    assert api("describe_email_monitoring_configuration") == {"LogGroupArn": GROUP, "RoleArn": ROLE}
    api("put_email_monitoring_configuration", LogGroupArn=GROUP.replace("example", "other"))
    assert api("describe_email_monitoring_configuration") == {"LogGroupArn": GROUP.replace("example", "other")}
    for _ in range(2):
        assert api("delete_email_monitoring_configuration") == {}
    assert api.fails("describe_email_monitoring_configuration") == "ResourceNotFoundException"


@pytest.mark.parametrize(
    "wrong",
    [
        {"LogGroupArn": GROUP.removesuffix(":*")},
        {"LogGroupArn": GROUP.replace("/example", "/exa mple")},
        {"LogGroupArn": GROUP.replace(":logs:", ":s3:")},
        {"LogGroupArn": GROUP, "RoleArn": ROLE.replace(":iam:", ":sts:")},
    ],
)
def test_what_is_no_arn_is_refused(api: Api, wrong: dict[str, str]) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        api("put_email_monitoring_configuration", **wrong)
    assert api.fails("describe_email_monitoring_configuration") == "ResourceNotFoundException"
