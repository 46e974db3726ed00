"""Exports to S3 as moto offers it: under a role, encrypted, refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from postroom.aws import clients
from postroom.aws.clients import Aws
from postroom.aws.objects import ObjectUpload
from postroom.aws.settings import Settings
from postroom.model.exports import Export, ExportState, Refused, Unreached, Vanished

ROLE = "arn:aws:iam::123456789012:role/WorkmailMailboxExportRole"
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd"
PART = b"p" * (5 * 2**20)
PUBLIC = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::public-bucket/*"}],
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@dataclass
class Store:
    """S3 as its owner sees it, and a way to upload into it."""

    endpoint: str
    s3: Any

    def upload(self, bucket: str = "mail-exports", **options: Any) -> ObjectUpload:
        aws = Aws(Settings(enabled=True, access_key_id="key", secret_access_key="secret", endpoint=self.endpoint), "us-east-1")
        export = Export("1", "", 1, None, ROLE, KMS_KEY, bucket, "", "mail/a.zip", ExportState.RUNNING, 0, None, 0.0, None, None)
        return ObjectUpload(aws, export, **({"assume_role": True, "encrypt": True} | options))


@pytest.fixture
def store(endpoint: str) -> Store:  # type: ignore[override]
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    made = Store(endpoint, boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys))
    for bucket in ("mail-exports", "public-bucket"):
        made.s3.create_bucket(Bucket=bucket)
    made.s3.put_bucket_policy(Bucket="public-bucket", Policy=json.dumps(PUBLIC))
    return made


def test_parts_become_one_encrypted_object(store: Store) -> None:
    upload = store.upload()
    name = upload.begin()
    upload.put(name, 1, 0, b"wrong" + PART)
    tags = [upload.put(name, 1, 0, PART), upload.put(name, 2, len(PART), b"end")]
    upload.finish(name, tags, len(PART) + 3)
    upload.write("mail/a.json", b"{}")
    found = store.s3.get_object(Bucket="mail-exports", Key="mail/a.zip")
    assert found["Body"].read() == PART + b"end"
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"], found["ContentType"]) == ("aws:kms", KMS_KEY, "application/zip")
    log = store.s3.get_object(Bucket="mail-exports", Key="mail/a.json")
    assert (log["ServerSideEncryption"], log["SSEKMSKeyId"], log["ContentType"]) == ("aws:kms", KMS_KEY, "application/json")


def test_the_role_of_the_export_is_assumed(store: Store) -> None:
    """What a role has written is signed with the temporary key that STS gave for it."""
    upload = store.upload()
    upload.begin()
    (client,) = [made for (service, role, _), made in upload._aws._made.items() if (service, role) == ("s3", ROLE)]
    assert client._request_signer._credentials.token
    other = store.upload(assume_role=False)
    other.begin()
    assert [role for _, role, _ in other._aws._made] == [""]


def test_credentials_of_a_role_are_renewed_before_they_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = store.upload()._aws
    first = aws.client("s3", role=ROLE)
    assert aws.client("s3", role=ROLE) is first
    monkeypatch.setattr(clients, "RENEWED_BEFORE", 2 * clients.ROLE_SECONDS)
    assert aws.client("s3", role=ROLE) is not first
    assert [role for _, role, _ in aws._made].count(ROLE) == 1


def test_an_aborted_upload_leaves_nothing(store: Store) -> None:
    upload = store.upload(encrypt=False)
    name = upload.begin()
    upload.put(name, 1, 0, PART)
    upload.abort(name)
    upload.abort(name)
    assert name not in [one["UploadId"] for one in store.s3.list_multipart_uploads(Bucket="mail-exports").get("Uploads", [])]


def test_what_a_dead_server_began_is_aborted(store: Store) -> None:
    names = [store.upload(encrypt=False).begin() for _ in range(2)]
    other = store.s3.create_multipart_upload(Bucket="mail-exports", Key="mail/a.zip.other")["UploadId"]
    begun = [one["UploadId"] for one in store.s3.list_multipart_uploads(Bucket="mail-exports")["Uploads"]]
    assert (names[0] in begun, names[1] in begun, other in begun) == (False, True, True)


def test_a_part_that_another_has_written_over(store: Store) -> None:
    upload = store.upload(encrypt=False)
    name = upload.begin()
    tags = [upload.put(name, 1, 0, PART), upload.put(name, 2, len(PART), b"end")]
    store.upload(encrypt=False).put(name, 1, 0, b"wrong" + PART)
    with pytest.raises(Vanished):
        upload.finish(name, tags, len(PART) + 3)


def test_a_bucket_that_is_open_to_the_public_is_refused(store: Store) -> None:
    with pytest.raises(Refused, match="The bucket public-bucket is open to the public"):
        store.upload("public-bucket").begin()


def test_a_bucket_that_is_not_there(store: Store) -> None:
    with pytest.raises(Refused, match=r"Bucket not-there: .*NoSuchBucket"):
        store.upload("not-there").begin()


def test_a_store_that_is_not_reached(store: Store) -> None:
    store.endpoint = "http://127.0.0.1:1"
    with pytest.raises(Unreached, match="Bucket mail-exports: .*Could not connect"):
        store.upload().begin()
