"""Tags by boto3."""

import pytest
from botocore.exceptions import ClientError

from .conftest import Api


@pytest.mark.effect("ListTagsForResource")
def test_tags_are_put_listed_and_removed(api: Api) -> None:
    arn = api("describe_organization")["ARN"]
    client = api.client
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == []
    client.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": ""}])
    client.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "3"}])
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": ""}, {"Key": "b", "Value": "3"}]
    for _ in range(2):
        client.untag_resource(ResourceARN=arn, TagKeys=["b"])
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": ""}]


def test_limits_and_strangers(api: Api) -> None:
    arn = api("describe_organization")["ARN"]
    client = api.client
    client.tag_resource(ResourceARN=arn, Tags=[{"Key": f"t{number}", "Value": ""} for number in range(50)])
    with pytest.raises(client.exceptions.TooManyTagsException):
        client.tag_resource(ResourceARN=arn, Tags=[{"Key": "more", "Value": ""}])
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.tag_resource(ResourceARN=arn, Tags=[{"Key": "aws:mine", "Value": ""}])
    for other in (arn[:-1] + ("0" if arn[-1] != "0" else "1"), arn.replace("000000000000", "111111111111"), arn + "/more"):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.list_tags_for_resource(ResourceARN=other)
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.tag_resource(ResourceARN=other, Tags=[])
        with pytest.raises(ClientError, match="ResourceNotFound"):
            client.untag_resource(ResourceARN=other, TagKeys=[])
