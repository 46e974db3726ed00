"""Objects of S3, or of a service that speaks as it does, uploaded in parts under a role.

The bucket must not be open to the public; a service that knows no policies of buckets has none that could open it.

S3 API: GetBucketPolicyStatus, ListMultipartUploads, CreateMultipartUpload, UploadPart, CompleteMultipartUpload, AbortMultipartUpload,
PutObject
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from hashlib import md5
from typing import Any

from postroom.aws.clients import Aws
from postroom.aws.refusals import Refusal, told
from postroom.model.exports import Export, Refused, Unreached, Vanished

SESSION_NAME = "postroom-export"
NO_POLICY = frozenset({"NoSuchBucketPolicy", "NotImplemented", "MethodNotAllowed", "UnsupportedOperation"})

LOST = frozenset({"NoSuchUpload", "InvalidPart"})
"""What is said of an upload that has gone, or of which another process, only believed dead, has written a part over again."""


class ObjectUpload:
    """The place of an export in a bucket of S3; `assume_role` and `encrypt` are settings of `[exports]`."""

    def __init__(self, aws: Aws, export: Export, *, assume_role: bool, encrypt: bool) -> None:
        self._aws = aws
        self._bucket = export.bucket
        self._path = export.path
        self._role = export.role_arn if assume_role else ""
        self._sealed = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": export.key_arn} if encrypt else {}

    def begin(self) -> str:
        """Begin a multipart upload, unless the bucket is open to the public."""
        self._refuse_public()
        self._abort_others()
        with self._told("The upload cannot begin"):
            answer = self._s3().create_multipart_upload(Bucket=self._bucket, Key=self._path, ContentType="application/zip", **self._sealed)
            return str(answer["UploadId"])

    def put(self, upload: str, number: int, offset: int, data: bytes | bytearray) -> str:
        """Upload a part; its ETag is its tag."""
        with self._told("A part cannot be uploaded"):
            answer = self._s3().upload_part(
                Bucket=self._bucket, Key=self._path, UploadId=upload, PartNumber=number, Body=data, ContentMD5=_checksum(data)
            )
            return str(answer["ETag"])

    def finish(self, upload: str, tags: Sequence[str], length: int) -> None:
        """Complete the multipart upload."""
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
        with self._told("The upload cannot be completed"):
            self._s3().complete_multipart_upload(Bucket=self._bucket, Key=self._path, UploadId=upload, MultipartUpload={"Parts": parts})

    def abort(self, upload: str) -> None:
        """Abort the multipart upload."""
        try:
            with self._told("The upload cannot be aborted"):
                self._s3().abort_multipart_upload(Bucket=self._bucket, Key=self._path, UploadId=upload)
        except Vanished:
            pass

    def write(self, path: str, data: bytes) -> None:
        """Put a small object."""
        with self._told("The log cannot be written"):
            self._s3().put_object(
                Bucket=self._bucket,
                Key=path,
                Body=data,
                ContentType="application/json",
                ContentMD5=_checksum(data),
                **self._sealed,
            )

    def close(self) -> None:
        """Nothing is held open: the clients are shared."""

    def _refuse_public(self) -> None:
        with self._told("The policy of the bucket cannot be asked for"):
            try:
                answer = self._s3().get_bucket_policy_status(Bucket=self._bucket)
            except Exception as error:
                if getattr(error, "response", {}).get("Error", {}).get("Code") in NO_POLICY:
                    return
                raise
        if answer.get("PolicyStatus", {}).get("IsPublic"):
            raise Refused(f"The bucket {self._bucket} is open to the public.")

    def _abort_others(self) -> None:
        """Abort what a server began that died before it could note it; not every role may list what has begun, and not every S3 can."""
        with suppress(Refused):
            with self._told("The uploads that have begun cannot be listed"):
                begun = self._s3().list_multipart_uploads(Bucket=self._bucket, Prefix=self._path)
                names = [one["UploadId"] for one in begun.get("Uploads", ()) if one["Key"] == self._path]
            for name in names:
                self.abort(name)

    def _s3(self) -> Any:
        """Give the client, with credentials that last: those of a role are renewed on the way."""
        return self._aws.client("s3", role=self._role, session_name=SESSION_NAME)

    def _told(self, what: str) -> AbstractContextManager[None]:
        return told(f"Bucket {self._bucket}: {what}", _error)


def _error(refusal: Refusal) -> Exception:
    if refusal.code in LOST:
        return Vanished()
    return Unreached(refusal.text) if refusal.passing else Refused(refusal.text)


def _checksum(data: bytes | bytearray) -> str:
    return base64.b64encode(md5(data, usedforsecurity=False).digest()).decode()
