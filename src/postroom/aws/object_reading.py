"""One object of S3, read whole.

S3 API: GetObject
"""

from __future__ import annotations

from contextlib import closing

from postroom.aws.clients import Aws
from postroom.aws.refusals import Refusal, told
from postroom.model import errors


def read(aws: Aws, bucket: str, key: str, *, version: str, most: int) -> bytes:
    """Read an object of at most so many bytes, in a version or, if that is '', the newest.

    Raises `ResourceNotFound` when it is not there, not permitted or too large, `TryLater` when S3 is not reached.
    """
    asked = {"Bucket": bucket, "Key": key} | ({"VersionId": version} if version else {})
    with told(f"The object {key} of the bucket {bucket} cannot be read", _error):
        answer = aws.client("s3").get_object(**asked)
        with closing(answer["Body"]) as body:  # itself a context, but of a body whose length nobody checks
            large = answer.get("ContentLength", 0) > most
            octets: bytes = b"" if large else body.read(most + 1) + body.read(1)  # the last read tells whether it was cut short
    if large or len(octets) > most:
        raise errors.ResourceNotFound(f"The object {key} of the bucket {bucket} is larger than {most} bytes.")
    return octets


def _error(refusal: Refusal) -> Exception:
    return errors.TryLater(refusal.text) if refusal.passing else errors.ResourceNotFound(refusal.text)
