"""The bench's own signer agrees with botocore's."""

import re

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench import signature


def test_signature_is_botocores():
    signer = signature.Signer("127.0.0.1:8443", "workmail", "AKIDEXAMPLE", "secret", "eu-west-1")
    request = signer.workmail("DescribeUser", {"OrganizationId": "m-1", "UserId": "u"})
    head, _, body = request.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    oracle = AWSRequest("POST", "http://127.0.0.1:8443/", data=body)
    for name in ("content-type", "x-amz-target"):
        oracle.headers[name] = headers[name]
    oracle.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), "workmail", "eu-west-1")
    oracle.headers["host"] = headers["host"]
    oracle.headers["X-Amz-Date"] = headers["x-amz-date"]
    expected = auth.signature(auth.string_to_sign(oracle, auth.canonical_request(oracle)), oracle)
    assert re.search("Signature=([0-9a-f]+)", headers["Authorization"])[1] == expected


def test_no_two_shifted_requests_are_signed_alike():
    signer = signature.Signer("h", "workmail", "a", "b")
    assert len({signer.workmail("ListUsers", {}, shift=shift) for shift in range(-30, 30)}) == 60


def test_the_announced_length_is_the_bodys():
    request = signature.Signer("h", "iam", "a", "b").iam("CreateUser", {"UserName": "jürgen"})
    head, _, body = request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
