"""Letters on their way by boto3: read for a day, replaced from a bucket, permitted by their ARNs."""

import email
import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from postroom.api.gateway import Gateway
from postroom.api.operation import Facilities
from postroom.api.settings import Settings
from postroom.aws.clients import Aws
from postroom.aws.settings import Settings as AwsSettings
from postroom.mailflow import replacement
from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.policy import iam
from postroom.policy.iam import access_keys
from postroom.server.letter_source import LetterSource
from postroom.storage.engine import REGISTRY, Store
from tests.api.operations.conftest import listening
from tests.conftest import make_organization
from tests.mailflow.letters import receive, send
from tests.people import People, inbox, populate

from .conftest import RunningClock

MOST = 10_000
ID = "Message-ID: <1@far.test>\r\n"
LETTER = f"From: <s@far.test>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n{ID}Subject: hello\r\n\r\ntext\r\n".encode()
CHANGED = LETTER.replace(b"hello", b"[outside] hello")
KEYS = {"region_name": "us-east-1", "aws_access_key_id": "key", "aws_secret_access_key": "secret"}


@pytest.fixture
def people(store: Store, organization: Organization) -> People:
    return populate(store, organization)


@pytest.fixture
def ids(store: Store, people: People) -> dict[str, str]:
    """One letter that came in, one that went out."""
    told: list[Any] = []
    store.notifier.record(told.extend)
    receive(store, "alice@example.test", raw=LETTER)
    send(store, people.actor("alice"), "bob@far.test", raw=LETTER.replace(b"s@far.test", b"alice@example.test"))
    traces = list(dict.fromkeys(event.trace for event in told))
    return dict(zip(("incoming", "outgoing"), traces, strict=True))


Connect = Callable[..., Any]


@pytest.fixture
def connect(store: Store, clock: RunningClock, tmp_path: Path) -> Iterator[Connect]:
    """Open a gateway, with AWS at an endpoint or without, and give clients of it."""
    (tmp_path / "bucket").mkdir()
    numbers = itertools.count()
    with ExitStack() as opened:

        def client(policy: str = iam.ADMINISTRATOR, *, aws: str = "", flow: bool = True) -> Any:
            settings = AwsSettings(enabled=True, endpoint=aws, access_key_id="key", secret_access_key="secret", connect_seconds=1.0)
            source = LetterSource({"letters": str(tmp_path / "bucket")}, Aws(settings, "us-east-1") if aws else None, MOST)
            with store.transaction(REGISTRY) as tx:
                key = access_keys.issue(tx, name=f"tests{next(numbers)}", policy=policy)
            facilities = Facilities(message_flow=flow, letters=source)
            url = opened.enter_context(listening(Gateway(store, Settings(facilities=facilities))))
            return boto3.client(
                "workmailmessageflow",
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id=key.id,
                aws_secret_access_key=key.secret,
                config=Config(retries={"total_max_attempts": 1}),
            )

        yield client


@pytest.fixture
def clock() -> RunningClock:
    return RunningClock()


def read(client: Any, id: str) -> bytes:
    answer = client.get_raw_message_content(messageId=id)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    return answer["messageContent"].read()


def put(client: Any, id: str, key: str, bucket: str = "letters", **more: str) -> Any:
    return client.put_raw_message_content(messageId=id, content={"s3Reference": {"bucket": bucket, "key": key, **more}})


def code(call: Callable[..., Any], *arguments: Any, **more: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as failed:
        call(*arguments, **more)
    return failed.value.response["Error"]["Code"], failed.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_letters_are_read_by_their_ids(ids: dict[str, str], connect: Connect) -> None:
    client = connect()
    assert read(client, ids["incoming"]) == LETTER
    assert email.message_from_bytes(read(client, ids["outgoing"]))["From"] == "<alice@example.test>"
    for none in ("x", ids["incoming"][:-1] + "x", "00000009" + ids["incoming"][8:], "00000000" + ids["incoming"][8:]):
        assert code(read, client, none) == ("ResourceNotFoundException", 404)
        assert code(put, client, none, "any") == ("ResourceNotFoundException", 404)


@pytest.mark.parametrize("identifier", ["a letter", "../../etc", "%2e%2e", "\N{LATIN SMALL LETTER E WITH ACUTE}+~'"])
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_what_is_no_id_is_refused_for_itself_and_not_for_its_signature(connect: Connect, identifier: str) -> None:
    with pytest.raises(ClientError, match=r"\(ValidationException\).*'messageId'"):
        connect().get_raw_message_content(messageId=identifier)


def test_where_there_is_no_message_flow_no_letter_is_read(ids: dict[str, str], connect: Connect) -> None:
    assert code(read, connect(flow=False), ids["incoming"]) == ("ResourceNotFoundException", 404)


def test_a_deleted_organizations_letters_are_gone(store: Store, ids: dict[str, str], connect: Connect) -> None:
    client = connect()
    with store.transaction(REGISTRY) as tx:
        tx.run("UPDATE organizations SET state = 'Deleted' WHERE number = 1")
    assert code(read, client, ids["incoming"]) == ("ResourceNotFoundException", 404)


def allow(resource: str, action: str = "*") -> str:
    statement = {"Effect": "Allow", "Action": f"workmailmessageflow:{action}", "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_permission_is_by_organization_direction_and_letter(
    store: Store, people: People, ids: dict[str, str], connect: Connect, tmp_path: Path
) -> None:
    make_organization(store, number=2, alias="other")
    (tmp_path / "bucket" / "new").write_bytes(CHANGED)
    arn = f"arn:aws:workmailmessageflow:us-east-1:000000000000:message/{people.organization.id}"
    incoming = connect(allow(f"{arn}/incoming/*"))
    assert read(incoming, ids["incoming"]) == LETTER
    assert code(read, incoming, ids["outgoing"]) == ("AccessDeniedException", 400)
    assert code(read, incoming, "00000002" + ids["incoming"][8:]) == ("AccessDeniedException", 400)  # absent or another's: the same
    only = connect(allow(f"{arn}/outgoing/{ids['outgoing']}"))
    assert read(only, ids["outgoing"])
    assert code(read, only, ids["incoming"]) == ("AccessDeniedException", 400)
    reader = connect(allow("*", "Get*"))
    assert code(put, reader, ids["incoming"], "new") == ("AccessDeniedException", 400)
    assert read(reader, ids["incoming"]) == LETTER
    for policy in (allow("*").replace("workmailmessageflow:", "workmail:"), allow(arn.replace("workmailmessageflow", "workmail") + "/*")):
        assert code(read, connect(policy), ids["incoming"]) == ("AccessDeniedException", 400)


def test_what_is_put_is_read_and_the_delivered_letter_stays(
    store: Store, people: People, ids: dict[str, str], connect: Connect, tmp_path: Path
) -> None:
    client = connect()
    (tmp_path / "bucket" / "2026").mkdir()
    (tmp_path / "bucket" / "2026" / "new-1").write_bytes(CHANGED.replace(b"\r\n", b"\n"))
    put(client, ids["incoming"], "2026/new-1")
    assert read(client, ids["incoming"]) == CHANGED
    assert inbox(store, 1, people.ids["alice"]) == [LETTER]
    (tmp_path / "bucket" / "again").write_bytes(CHANGED.replace(b"outside", b"checked"))
    put(client, ids["incoming"], "again")
    assert b"[checked]" in read(client, ids["incoming"])


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_no_name_leads_out_of_a_bucket(ids: dict[str, str], connect: Connect, tmp_path: Path) -> None:
    client = connect()
    bucket = tmp_path / "bucket"
    (tmp_path / "secret").write_bytes(CHANGED)
    (bucket / "link").symlink_to(tmp_path / "secret")
    (bucket / "up").symlink_to(tmp_path)
    (bucket / "large").write_bytes(LETTER + b"x" * MOST)
    (bucket / "sub").mkdir()
    os.mkfifo(bucket / "pipe")
    for key in (
        "link",
        "up/secret",
        str(tmp_path / "secret").replace("_", "-"),
        "/secret",
        "sub",
        "sub/",
        "absent",
        "pipe",
        "large",
        "//link",
    ):
        found = code(put, client, ids["incoming"], key)
        assert found == ("InvalidContentLocation", 400), key
    assert code(put, client, ids["incoming"], "new", objectVersion="1") == ("InvalidContentLocation", 400)
    assert code(put, client, ids["incoming"], "new", bucket="unknown") == ("InvalidContentLocation", 400)
    assert code(put, client, ids["incoming"], "../secret") == ("ValidationException", 400)
    assert read(client, ids["incoming"]) == LETTER


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_content_from_s3(ids: dict[str, str], connect: Connect) -> None:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        s3 = boto3.client("s3", endpoint_url=endpoint, **KEYS)
        s3.create_bucket(Bucket="mine")
        s3.put_bucket_versioning(Bucket="mine", VersioningConfiguration={"Status": "Enabled"})
        first = s3.put_object(Bucket="mine", Key="new", Body=CHANGED)["VersionId"]
        s3.put_object(Bucket="mine", Key="new", Body=CHANGED.replace(b"outside", b"second"))
        s3.put_object(Bucket="mine", Key="large", Body=LETTER + b"x" * MOST)
        client = connect(aws=endpoint)
        put(client, ids["incoming"], "new", bucket="mine")
        assert b"[second]" in read(client, ids["incoming"])
        put(client, ids["incoming"], "new", bucket="mine", objectVersion=first)
        assert read(client, ids["incoming"]) == CHANGED
        for key, bucket in (("large", "mine"), ("absent", "mine"), ("new", "theirs")):
            assert code(put, client, ids["incoming"], key, bucket=bucket) == ("InvalidContentLocation", 400)
    finally:
        server.stop()


PARTS = LETTER.replace(b"\r\n\r\ntext\r\n", b"\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n")
TWINS = PARTS.replace(
    b"--b\r\n\r\none\r\n", b"--b\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\none\r\n--i--\r\n" * 2
)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "required header Date"),
        (LETTER.replace(b"Date:", b"Dated:"), "required header Date is missing"),
        (LETTER.replace(b"Subject:", b"Subject: one\r\nSubject:"), "Subject appears more than once"),
        (LETTER.replace(b"s@far", b"t@far"), "From must remain unchanged"),
        (LETTER.replace(b"<1@", b"<2@"), "Message-ID must remain unchanged"),
        (LETTER + b"x" * 1000 + b"\r\n", "more than 1000 characters"),
        (LETTER + b"\0\r\n", "NUL"),
        (PARTS.replace(b"; boundary=b", b""), "no boundary"),
        (PARTS.replace(b"--b--\r\n", b""), "does not end"),
        (TWINS.replace(b"--i--\r\n", b"", 1), "does not end"),
    ],
)
def test_what_is_no_good_message_is_rejected(raw: bytes, why: str) -> None:
    with pytest.raises(errors.MalformedMessage, match=why):
        replacement.check(raw, LETTER)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_what_is_rejected_changes_nothing(ids: dict[str, str], connect: Connect, tmp_path: Path) -> None:
    client = connect()
    (tmp_path / "bucket" / "bad").write_bytes(LETTER.replace(b"<1@", b"<2@"))
    with pytest.raises(client.exceptions.MessageRejected, match="Message-ID must remain unchanged"):
        put(client, ids["incoming"], "bad")
    assert read(client, ids["incoming"]) == LETTER


def test_good_messages_of_many_kinds_are_taken() -> None:
    nested = PARTS.replace(b"\r\none\r\n", b"Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\none\r\n--c--\r\n")
    for raw in (LETTER, CHANGED, PARTS, TWINS, nested, LETTER + b"x" * 998 + b"\r\n"):
        replacement.check(raw, LETTER)
