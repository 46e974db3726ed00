"""Records of calls: how much they hold, and what of it."""

import json
from types import SimpleNamespace
from typing import Any, cast

from postroom.api import audit, operations
from postroom.api.exchange import Exchange, Service
from postroom.api.operation import Caller
from postroom.api.requests import Request
from postroom.model.principals import Identity

operations.enter_all()
CALLER = Caller("123456789012", "us-east-1", "AKIA1", Identity("AIDA1", "ann"), "192.0.2.1", secure=True)


def record(
    name: str, params: dict[str, Any], answer: dict[str, Any] | None = None, *, caller: Caller | None = CALLER, service: str = "workmail"
) -> dict[str, Any]:
    request = Request("POST", "/", "", {b"user-agent": b"test\xff" * 1000}, "192.0.2.1", secure=True)
    exchange = Exchange(request, cast("Service", SimpleNamespace(name=service)), name=name, params=params, answer=answer, caller=caller)
    return json.loads(audit.record(exchange, 0.0, "us-east-1", "123456789012"))


def test_a_long_one_says_how_long_it_was() -> None:
    made = record("CreateGroup", {"Name": "x" * 200_000}, {"GroupId": "g"})
    assert (made["requestParameters"], made["responseElements"]) == (None, {"groupId": "g"})
    assert made["additionalEventData"] == {"omittedBytes": {"requestParameters": 200_011}}
    assert len(made["userAgent"]) == audit.MOST_TEXT


def test_a_padded_one_still_says_whom_it_is_about() -> None:
    made = record("PutUserPolicy", {"UserName": "ann", "PolicyName": "p", "PolicyDocument": "{}" + " " * 120_000}, service="iam")
    assert made["requestParameters"] == {"userName": "ann", "policyName": "p"}
    assert made["additionalEventData"]["omittedBytes"]["requestParameters"] > 120_000


def test_lists_of_structures_are_shown_with_their_names_in_lower_case() -> None:
    made = record("TagResource", {"ResourceARN": "arn", "Tags": [{"Key": "Team", "Value": "A"}], "Strange": 1})
    assert made["requestParameters"] == {"resourceARN": "arn", "tags": [{"key": "Team", "value": "A"}]}


def test_tokens_are_hidden_in_answers() -> None:
    made = record("AssumeImpersonationRole", {"ImpersonationRoleId": "r"}, {"Token": "sesame", "ExpiresIn": 900})
    assert made["responseElements"] == {"token": audit.HIDDEN, "expiresIn": 900}


def test_what_nobody_signed_is_not_repeated() -> None:
    made = record("CreateUser", {"Name": "ann", "Password": "sesame"}, caller=None)
    assert (made["requestParameters"], made["userIdentity"]) == (None, {"type": "Unknown", "accountId": "123456789012"})


def test_a_session_of_a_role_is_shown_with_its_role() -> None:
    caller = Caller("123456789012", "us-east-1", "ASIA1", Identity("AROA1", "reader", "/team/", "work"), "192.0.2.1", secure=True)
    assert record("ListUsers", {}, caller=caller)["userIdentity"] == {
        "type": "AssumedRole",
        "principalId": "AROA1:work",
        "arn": "arn:aws:sts::123456789012:assumed-role/reader/work",
        "accountId": "123456789012",
        "accessKeyId": "ASIA1",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": "AROA1",
                "arn": "arn:aws:iam::123456789012:role/team/reader",
                "accountId": "123456789012",
                "userName": "reader",
            }
        },
    }


def test_new_credentials_are_hidden() -> None:
    key = {"UserName": "ann", "AccessKeyId": "AKIA1", "Status": "Active", "SecretAccessKey": "sesame"}
    session = {"AccessKeyId": "ASIA1", "SecretAccessKey": "sesame", "SessionToken": "sesame", "Expiration": 1.0}
    made = [
        record("CreateAccessKey", {"UserName": "ann"}, {"AccessKey": key}, service="iam"),
        record("AssumeRole", {"RoleArn": "arn"}, {"Credentials": session}, service="sts"),
    ]
    assert not any("sesame" in json.dumps(one) for one in made)
    assert made[0]["responseElements"]["accessKey"]["accessKeyId"] == "AKIA1"
    assert made[1]["responseElements"]["credentials"]["accessKeyId"] == "ASIA1"
