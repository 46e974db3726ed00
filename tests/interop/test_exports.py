"""Mailboxes exported by boto3 into a real object store, which checks signatures, and into folders; read back by others' programs."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha384
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from imapclient import IMAPClient

from postroom.aws.clients import Aws
from postroom.aws.objects import ObjectUpload
from postroom.aws.settings import Settings
from postroom.model.exports import Export, ExportState, Refused, Vanished
from tests.interop.tools import need, run
from tests.program import COMMAND, Program, Ready, User, hire, running

SERVER = Path(__file__).with_name("swift_server.py")
KEY, SECRET = "account:tester", "SECRET"
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd"
ROLE = "arn:aws:iam::123456789012:role/WorkmailMailboxExportRole"
BUCKET = "mail-exports"
PATIENCE = 120.0
FREE = '["127.0.0.1:0"]'
CONFIGURATION = """
data = "data"
[api]
listen = {free}
[smtp]
listen = {free}
[submission]
listen = {free}
listen_tls = {free}
[imap]
listen = {free}
listen_tls = {free}
[managesieve]
listen = {free}
[mail]
hostname = "mail.lab.test"
[domains]
base = "lab.test"
verify = false
[aws]
enabled = true
endpoint = "{endpoint}"
access_key_id = "{key}"
secret_access_key = "{secret}"
[exports]
assume_role = false
encrypt = false
[exports.buckets]
archive = "archive"
"""


@dataclass(frozen=True)
class Swift:
    """A running object store."""

    process: subprocess.Popen[bytes]
    endpoint: str

    def client(self) -> Any:
        plain = Config(request_checksum_calculation="when_required", s3={"addressing_style": "path"})
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
        return boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1", config=plain, **keys)

    def uploads(self) -> list[str]:
        return [upload["UploadId"] for upload in self.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]

    def keys(self) -> list[str]:
        return sorted(entry["Key"] for entry in self.client().list_objects_v2(Bucket=BUCKET).get("Contents", []))

    def read(self, key: str) -> bytes:
        data: bytes = self.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return data


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """OpenStack Swift with its S3 interface, by Debian's Python."""
    for kind in ("proxy", "account", "container", "object"):
        need(f"swift-{kind}-server", f"swift-{kind}")
    folder = tmp_path_factory.mktemp("swift")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["/usr/bin/python3", SERVER, folder, str(port)], stdout=log, stderr=log)
    try:
        found = Swift(process, f"http://127.0.0.1:{port}")
        found.client().create_bucket(Bucket=BUCKET) if answers(process, port) else pytest.fail((folder / "log").read_text())
        yield found
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until a server accepts; False when it has ended."""
    while process.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return True
        time.sleep(0.05)
    return False


@dataclass
class House:
    """A program that exports, with an organization of its own."""

    program: Program
    key: tuple[str, str]
    archive: Path
    organization_id: str = ""

    @property
    def ready(self) -> Ready:
        known = {"domain": "exports.lab.test", "organization_id": self.organization_id}
        return replace(self.program.ready, access_key_id=self.key[0], secret_access_key=self.key[1], **known)

    def start(self, user: User, bucket: str = BUCKET) -> str:
        order = {"RoleArn": ROLE, "KmsKeyArn": KMS_KEY, "S3BucketName": bucket, "S3Prefix": "mail/"}
        workmail, token = self.ready.workmail(), str(time.time())
        answer = workmail.start_mailbox_export_job(ClientToken=token, OrganizationId=self.organization_id, EntityId=user.email, **order)
        job: str = answer["JobId"]
        return job

    def describe(self, job: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.ready.workmail().describe_mailbox_export_job(JobId=job, OrganizationId=self.organization_id)
        return shown

    def until_begun(self, job: str) -> dict[str, Any]:
        """Wait until a part has arrived."""
        return self._until(lambda shown: shown["State"] != "RUNNING" or shown["EstimatedProgress"], job, pause=0.03)

    def until_over(self, job: str) -> dict[str, Any]:
        return self._until(lambda shown: shown["State"] != "RUNNING", job, pause=0.1)

    def _until(self, enough: Callable[[dict[str, Any]], Any], job: str, *, pause: float) -> dict[str, Any]:
        end, workmail = time.monotonic() + PATIENCE, self.ready.workmail()
        while not enough(shown := workmail.describe_mailbox_export_job(JobId=job, OrganizationId=self.organization_id)):
            assert time.monotonic() < end, shown
            time.sleep(pause)
        return dict(shown)

    def restart(self) -> None:
        self.program.launch()
        self.program.await_ready()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, swift: Swift) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    (folder / "archive").mkdir()
    config = folder / "postroom.toml"
    config.write_text(CONFIGURATION.format(free=FREE, endpoint=swift.endpoint, key=KEY, secret=SECRET))
    create = [*COMMAND, "keys", "--config", str(config), "create", "admin", "--full"]
    told = subprocess.run(create, capture_output=True, text=True, check=True).stdout
    id, secret = re.findall(r"^AWS_\w+=(.+)$", told, re.MULTILINE)[:2]
    with running(Program(["serve", "--config", str(config)], folder / "run")) as program:
        found = House(program, (id, secret), folder / "archive")
        found.organization_id = found.ready.workmail().create_organization(Alias="exports")["OrganizationId"]
        yield found


def letter(number: int, size: int) -> bytes:
    """Write a letter that does not become much smaller, and has no words to be indexed."""
    noise = base64.encodebytes(random.Random(number).randbytes(size)).replace(b"\n", b"\r\n")
    kind = "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64"
    return f"From: bob@other.test\r\nSubject: number {number}\r\n{kind}\r\n\r\n".encode() + noise


def filled(house: House, name: str, *, letters: int, size: int) -> User:
    """Hire somebody and fill the inbox and two folders below each other."""
    user = hire(house.ready, name)
    with signed_in(house, user) as imap:
        imap.create_folder("Prójekte/a: b?")
        imap.append("Prójekte/a: b?", letter(0, 100), msg_time=None)
        for number in range(1, letters + 1):
            imap.append("INBOX", letter(number, size))
    return user


def signed_in(house: House, user: User) -> IMAPClient:
    imap = IMAPClient(*house.ready.imaps, ssl=True, ssl_context=house.ready.tls(), timeout=60)
    imap.login(user.email, user.password)
    return imap


def fetched(house: House, user: User) -> dict[str, bytes]:
    """Read all letters by IMAP, under the names they have in the archive."""
    found = {}
    with signed_in(house, user) as imap:
        for folder, name in (("INBOX", "Inbox"), ("Prójekte/a: b?", "Prójekte/a_ b_")):
            imap.select_folder(folder, readonly=True)
            for uid, parts in imap.fetch(imap.search(), ["BODY.PEEK[]"]).items():
                found[f"{name}/{uid:010d}.eml"] = parts[b"BODY[]"]
    return found


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist() if not name.endswith("/")}


@pytest.mark.effect("StartMailboxExportJob", "CancelMailboxExportJob", "DescribeMailboxExportJob")
def test_cancelled_then_killed_then_whole(house: House, swift: Swift) -> None:
    """The store stands still whenever the export has begun, so that what comes then comes in the middle."""
    user = filled(house, "alice", letters=3, size=8_500_000)
    workmail = house.ready.workmail()

    cancelled = house.start(user)
    begun = house.until_begun(cancelled)
    swift.process.send_signal(signal.SIGSTOP)
    assert begun["State"] == "RUNNING"
    workmail.cancel_mailbox_export_job(JobId=cancelled, OrganizationId=house.organization_id, ClientToken=uuid.uuid4().hex)
    assert house.describe(cancelled)["State"] == "CANCELLED"
    swift.process.send_signal(signal.SIGCONT)
    end = time.monotonic() + PATIENCE
    while swift.uploads():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert swift.keys() == []

    job = house.start(user)
    begun = house.until_begun(job)
    swift.process.send_signal(signal.SIGSTOP)
    house.program.kill()
    swift.process.send_signal(signal.SIGCONT)
    assert begun["State"] == "RUNNING"
    assert len(swift.uploads()) == 1
    house.restart()
    assert house.describe(job)["EstimatedProgress"] >= begun["EstimatedProgress"]
    done = house.until_over(job)
    assert (done["State"], done["EstimatedProgress"]) == ("COMPLETED", 100), done
    assert swift.uploads() == []
    assert swift.keys() == [f"mail/{job}.json", f"mail/{job}.zip"]
    data, log = swift.read(done["S3Path"]), json.loads(swift.read(f"mail/{job}.json"))
    assert unpacked(data) == fetched(house, user)
    assert (log["sha384Hash"], log["totalBytes"], log["totalMessages"]) == (sha384(data).hexdigest(), str(len(data)), "4")


@pytest.mark.effect("ListMailboxExportJobs")
def test_a_folder_read_by_unzip(house: House, tmp_path: Path) -> None:
    user = filled(house, "bob", letters=3, size=2000)
    job = house.start(user, "archive")
    done = house.until_over(job)
    assert done["State"] == "COMPLETED", done
    listed = house.ready.workmail().list_mailbox_export_jobs(OrganizationId=house.organization_id)["Jobs"]
    assert (listed[0]["JobId"], listed[0]["S3Path"], listed[0]["State"]) == (job, f"mail/{job}.zip", "COMPLETED")
    archive = house.archive / done["S3Path"]
    taken = run([need("unzip", "unzip"), "-q", archive, "-d", tmp_path], environment={"LC_ALL": "C.UTF-8"})
    assert (taken.returncode, taken.stdout) == (0, b"")
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == fetched(house, user)
    assert sorted(os.listdir(house.archive / "mail")) == [f"{job}.json", f"{job}.zip"]
    assert json.loads((house.archive / f"mail/{job}.json").read_text())["sha384Hash"] == sha384(archive.read_bytes()).hexdigest()


def test_a_bucket_that_is_not_there(house: House) -> None:
    user = hire(house.ready, "carol")
    failed = house.until_over(house.start(user, "nowhere"))
    assert failed["State"] == "FAILED"
    assert "NoSuchBucket" in failed["ErrorInfo"]


def place(swift: Swift, *, secret: str = SECRET, encrypt: bool = False) -> ObjectUpload:
    aws = Aws(Settings(enabled=True, endpoint=swift.endpoint, access_key_id=KEY, secret_access_key=secret), "us-east-1")
    export = Export("1", "", 1, None, ROLE, KMS_KEY, BUCKET, "", "a.zip", ExportState.RUNNING, 0, None, 0.0, None, None)
    return ObjectUpload(aws, export, assume_role=False, encrypt=encrypt)


def test_what_the_store_refuses_is_told(swift: Swift) -> None:
    with pytest.raises(Refused, match="SignatureDoesNotMatch"):
        place(swift, secret="wrong").begin()
    with pytest.raises(Refused, match="Server-side encryption is not supported"):
        place(swift, encrypt=True).begin()


def test_an_upload_that_is_gone(swift: Swift) -> None:
    upload = place(swift)
    name = upload.begin()
    upload.abort(name)
    upload.abort(name)
    with pytest.raises(Vanished):
        upload.put(name, 1, 0, b"late")
