"""Exports of mailboxes to a bucket (WorkMail API: StartMailboxExportJob to CancelMailboxExportJob)."""

from typing import Any

from postroom.api import paging
from postroom.api.listing import present
from postroom.api.operation import Answer, Call, operation
from postroom.mailbox import exports
from postroom.model import errors
from postroom.model.exports import Export


@operation("StartMailboxExportJob")
def start_mailbox_export_job(call: Call) -> Answer:
    """Ask for an export, which is begun as soon as this has answered."""
    params = call.params
    _require_known_bucket(call, params["S3BucketName"])
    export = exports.start(
        call.tx,
        params["EntityId"],
        bucket=params["S3BucketName"],
        prefix=params["S3Prefix"],
        role_arn=params["RoleArn"],
        key_arn=params["KmsKeyArn"],
        description=params.get("Description"),
    )
    if export.bucket in call.facilities.buckets:
        exports.file_names(export.path)
    return {"JobId": export.id}


@operation("DescribeMailboxExportJob")
def describe_mailbox_export_job(call: Call) -> Answer:
    """Describe an export of the last seven days."""
    found = exports.get(call.tx, call.params["JobId"])
    more = present(ErrorInfo=found.error)
    return _shown(found) | more | {"RoleArn": found.role_arn, "KmsKeyArn": found.key_arn, "S3Prefix": found.prefix}


@operation("ListMailboxExportJobs")
def list_mailbox_export_jobs(call: Call) -> Answer:
    """List the exports of the last seven days, the newest first."""
    page = call.page
    rows = exports.page(call.tx, (page.after[0], page.after[1]) if page.after else None, page.fetch)
    return paging.answer(page, "Jobs", rows, key=lambda one: (one.started_at, one.id), render=lambda one: {"JobId": one.id} | _shown(one))


@operation("CancelMailboxExportJob")
def cancel_mailbox_export_job(call: Call) -> Answer:
    """Cancel an export; one that has ended stays as it is."""
    exports.cancel(call.tx, call.params["JobId"])
    return {}


def _require_known_bucket(call: Call, bucket: str) -> None:
    if bucket not in call.facilities.buckets and call.facilities.aws is None:
        raise errors.InvalidParameter(f"The bucket {bucket} is not known to this server, which has no access to Amazon S3.")


def _shown(export: Export) -> dict[str, Any]:
    return present(
        EntityId=export.entity,
        Description=export.description,
        S3BucketName=export.bucket,
        S3Path=export.path,
        EstimatedProgress=export.progress,
        State=export.state.value,
        StartTime=export.started_at,
        EndTime=export.ended_at,
    )
