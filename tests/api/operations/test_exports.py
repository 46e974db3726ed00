"""Export jobs by boto3: what is asked for, shown, limited and cancelled."""

import time

import pytest

from postroom.api.operation import Facilities
from postroom.api.settings import Settings
from postroom.mailbox import exports
from postroom.model.exports import ExportState

from .conftest import Api

ORDER = {
    "RoleArn": "arn:aws:iam::123456789012:role/WorkmailMailboxExportRole",
    "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd",
    "S3BucketName": "archive",
    "S3Prefix": "mail/",
}


@pytest.fixture
def api(connect, organization) -> Api:
    return Api(connect(Settings(facilities=Facilities(buckets=frozenset({"archive"})))), organization)


def hire(api: Api, name: str = "alice") -> str:
    user = api("create_user", Name=name, DisplayName=name)["UserId"]
    api("register_to_work_mail", EntityId=user, Email=f"{name}@example.test")
    return user


def start(api: Api, entity: str = "alice", **changed: str) -> str:
    return api("start_mailbox_export_job", EntityId=entity, ClientToken=str(time.time()), **(ORDER | changed))["JobId"]


def refused(api: Api, entity: str = "alice", **changed: str) -> str:
    return api.fails("start_mailbox_export_job", EntityId=entity, **(ORDER | changed))


def end(store, organization, job: str, state: ExportState) -> None:
    with store.transaction(organization.number) as tx:
        {ExportState.COMPLETED: exports.complete, ExportState.FAILED: lambda tx, id: exports.fail(tx, id, "It is full.")}[state](tx, job)


def test_a_job_is_shown(api, clock):
    user = hire(api)
    job = start(api, "Alice@example.test", Description="Leaving")
    shown = api("describe_mailbox_export_job", JobId=job)
    begun = shown.pop("StartTime").timestamp()
    assert abs(begun - clock.now) < 1
    summary = {
        "EntityId": user,
        "Description": "Leaving",
        "S3BucketName": "archive",
        "S3Path": f"mail/{job}.zip",
        "EstimatedProgress": 0,
        "State": "RUNNING",
    }
    assert shown == summary | {name: ORDER[name] for name in ("RoleArn", "KmsKeyArn", "S3Prefix")}
    (listed,) = api("list_mailbox_export_jobs")["Jobs"]
    assert listed.pop("StartTime").timestamp() == begun
    assert listed == summary | {"JobId": job}


@pytest.mark.parametrize("prefix", ["mail", "mail/", "/mail//"])
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_one_slash_stands_behind_the_prefix(api, prefix):
    hire(api)
    job = start(api, S3Prefix=prefix)
    shown = api("describe_mailbox_export_job", JobId=job)
    assert (shown["S3Prefix"], shown["S3Path"]) == (prefix, f"mail/{job}.zip")


def test_how_it_ends_is_shown(api, store, organization):
    hire(api)
    hire(api, "bob")
    failed, completed = start(api), start(api, "bob")
    end(store, organization, failed, ExportState.FAILED)
    end(store, organization, completed, ExportState.COMPLETED)
    shown = api("describe_mailbox_export_job", JobId=failed)
    assert (shown["State"], shown["ErrorInfo"]) == ("FAILED", "It is full.")
    assert shown["EndTime"] >= shown["StartTime"]
    shown = api("describe_mailbox_export_job", JobId=completed)
    assert (shown["State"], shown["EstimatedProgress"], "ErrorInfo" in shown) == ("COMPLETED", 100, False)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_who_has_no_mailbox_is_not_found(api):
    api("create_group", Name="staff")
    api("create_user", Name="bob", DisplayName="Bob")
    for entity in ("nobody", "staff", "bob"):
        assert refused(api, entity) == "EntityNotFoundException"


def test_a_room_has_a_mailbox(api):
    room = api("create_resource", Name="room", Type="ROOM")["ResourceId"]
    api("register_to_work_mail", EntityId=room, Email="room@example.test")
    assert api("describe_mailbox_export_job", JobId=start(api, "room"))["EntityId"] == room


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_where_nothing_can_be_written(api):
    hire(api)
    assert refused(api, S3BucketName="unknown") == "InvalidParameterException"
    assert refused(api, S3Prefix="../up") == "InvalidParameterException"
    assert refused(api, S3Prefix="long/" * 200) == "InvalidParameterException"
    assert api("list_mailbox_export_jobs")["Jobs"] == []


def test_a_mailbox_once_a_day(api, store, organization, clock):
    hire(api)
    first = start(api)
    assert refused(api) == "LimitExceededException"
    end(store, organization, first, ExportState.FAILED)
    second = start(api)
    end(store, organization, second, ExportState.COMPLETED)
    assert refused(api) == "LimitExceededException"
    clock.advance(exports.BETWEEN_SECONDS)
    with store.transaction(organization.number) as tx:
        exports.start(tx, "alice", bucket="archive", prefix="a", role_arn="", key_arn="", description=None)


def test_so_many_at_once(api, monkeypatch):
    assert exports.RUNNING_AT_ONCE == 10
    monkeypatch.setattr(exports, "RUNNING_AT_ONCE", 2)
    for name in ("alice", "bob", "carol"):
        hire(api, name)
    jobs = [start(api, name) for name in ("alice", "bob")]
    assert refused(api, "carol") == "LimitExceededException"
    api("cancel_mailbox_export_job", JobId=jobs[1])
    start(api, "carol")


def test_the_same_token_starts_nothing_twice(api):
    hire(api)
    token = str(time.time())
    jobs = {api("start_mailbox_export_job", EntityId="alice", ClientToken=token, **ORDER)["JobId"] for _ in range(2)}
    assert len(jobs) == len(api("list_mailbox_export_jobs")["Jobs"]) == 1


def test_cancel(api, store, organization):
    hire(api)
    job = start(api)
    assert api("cancel_mailbox_export_job", JobId=job) == {}
    shown = api("describe_mailbox_export_job", JobId=job)
    assert (shown["State"], "EndTime" in shown) == ("CANCELLED", True)
    assert api("cancel_mailbox_export_job", JobId=job) == {}
    second = start(api)
    with store.transaction(organization.number) as tx:
        exports.close(tx, second)
    assert api("cancel_mailbox_export_job", JobId=second) == {}
    assert api("describe_mailbox_export_job", JobId=second)["State"] == "RUNNING"
    assert api.fails("cancel_mailbox_export_job", JobId="nothing") == "EntityNotFoundException"


def test_the_newest_first_a_page_at_a_time(api):
    for number in range(5):
        hire(api, f"user{number}")
    jobs = [start(api, f"user{number}") for number in range(5)]
    pages, token = [], {}
    while True:
        answer = api("list_mailbox_export_jobs", MaxResults=2, **token)
        pages.append([job["JobId"] for job in answer["Jobs"]])
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [job for page in pages for job in page] == jobs[::-1]


def test_seven_days(store, organization, clock, api):
    hire(api)
    hire(api, "bob")
    done, running = start(api), start(api, "bob")
    end(store, organization, done, ExportState.COMPLETED)
    with store.transaction(organization.number) as tx:
        tx.run("UPDATE exports SET started_at = started_at - :age WHERE organization = :organization", age=exports.SHOWN_SECONDS + 60)
    assert [job["JobId"] for job in api("list_mailbox_export_jobs")["Jobs"]] == [running]
    assert api.fails("describe_mailbox_export_job", JobId=done) == "EntityNotFoundException"
    assert api("describe_mailbox_export_job", JobId=running)["State"] == "RUNNING"
