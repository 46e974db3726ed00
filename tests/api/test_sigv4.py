"""The signature check against botocore's signer, which is somebody else's reading of the same document."""

from __future__ import annotations

import string
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from postroom.api import sigv4
from postroom.api.errors import Refusal

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
REGION, SERVICE = "us-east-1", "workmail"
NAMES = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=20).map(lambda name: f"x-amz-meta-{name}")
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


def sign(
    body: bytes, headers: dict[str, str] | None = None, *, token: str | None = None, secret: str = SECRET
) -> list[tuple[bytes, bytes]]:
    """Sign with botocore; gives the headers as they arrive."""
    given_headers = {"Host": "example.test:8080", "X-Amz-Target": "WorkMailService.ListUsers"} | (headers or {})
    request = AWSRequest("POST", "http://example.test:8080/", data=body, headers=given_headers)
    SigV4Auth(Credentials("AKIAEXAMPLE", secret, token), SERVICE, REGION).add_auth(request)
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in request.headers.items()]


def verify(raw: list[tuple[bytes, bytes]], body: bytes, secret: str = SECRET, now: float | None = None) -> sigv4.Claim:
    headers = sigv4.fold(raw)
    claim = sigv4.read(headers)
    sigv4.check_scope(claim, region=REGION, service=SERVICE, now=datetime.now(UTC).timestamp() if now is None else now)
    sigv4.check(claim, secret, method="POST", path="/", query="", headers=headers, body=body)
    return claim


def refused(raw: list[tuple[bytes, bytes]], body: bytes = b"{}", secret: str = SECRET, now: float | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        verify(raw, body, secret, now)
    return caught.value


def altered(raw: list[tuple[bytes, bytes]], name: str, change: Any) -> list[tuple[bytes, bytes]]:
    return [(key, change(value.decode()).encode() if key.decode().lower() == name else value) for key, value in raw]


def without(raw: list[tuple[bytes, bytes]], name: str) -> list[tuple[bytes, bytes]]:
    return [(key, value) for key, value in raw if key.decode().lower() != name]


class TestAgainstBotocore:
    @given(
        st.binary(max_size=200),
        st.dictionaries(NAMES, VALUES, max_size=5),
        st.none() | st.text(string.ascii_letters, min_size=1, max_size=40),
    )
    def test_what_botocore_signs_is_accepted(self, body: bytes, headers: dict[str, str], token: str | None) -> None:
        claim = verify(sign(body, headers, token=token), body)
        assert claim.credential.key_id == "AKIAEXAMPLE"
        assert claim.token == token

    @given(st.binary(max_size=100), st.binary(max_size=100))
    def test_another_body_is_refused(self, body: bytes, other: bytes) -> None:
        if body != other:
            assert refused(sign(body), other).code == "InvalidSignatureException"

    @given(st.text(string.ascii_letters + string.digits + "+/", min_size=1, max_size=60))
    def test_another_secret_is_refused(self, secret: str) -> None:
        if secret != SECRET:
            assert "does not match the signature you provided" in refused(sign(b"{}", secret=secret)).text

    @given(st.integers(0, 63), st.sampled_from("0123456789abcdef"))
    def test_every_digit_of_the_signature_counts(self, place: int, digit: str) -> None:
        def change(value: str) -> str:
            start, mark, signature = value.rpartition("Signature=")
            return start + mark + signature[:place] + digit + signature[place + 1 :]

        raw = sign(b"{}")
        changed = altered(raw, "authorization", change)
        if changed != raw:
            assert refused(changed).code == "InvalidSignatureException"

    def test_a_signed_header_may_not_change(self) -> None:
        raw = altered(sign(b"{}"), "x-amz-target", lambda value: value.replace("List", "Delete"))
        assert refused(raw).code == "InvalidSignatureException"

    def test_spaces_within_values_do_not_matter(self) -> None:
        raw = altered(sign(b"{}", {"x-amz-meta-a": "one two"}), "x-amz-meta-a", lambda value: "  one   two ")
        verify(raw, b"{}")


class TestRefusals:
    def test_no_signature(self) -> None:
        problem = refused(without(sign(b"{}"), "authorization"))
        assert (problem.code, problem.text) == ("MissingAuthenticationTokenException", "Missing Authentication Token")

    @pytest.mark.parametrize(
        "value",
        [
            "Basic YTpi",
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 Credential",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host",
            "AWS4-ECDSA-P256-SHA256 Credential=x",
        ],
    )
    def test_an_incomplete_one(self, value: str) -> None:
        assert refused(altered(sign(b"{}"), "authorization", lambda _: value)).code == "IncompleteSignatureException"

    def test_what_is_missing_is_named(self) -> None:
        text = refused(altered(sign(b"{}"), "authorization", lambda _: "AWS4-HMAC-SHA256 SignedHeaders=host")).text
        assert "requires 'Credential' parameter" in text
        assert "requires 'Signature' parameter" in text
        assert "requires 'SignedHeaders'" not in text

    def test_a_credential_with_too_few_parts(self) -> None:
        raw = altered(sign(b"{}"), "authorization", lambda value: value.replace("/aws4_request", ""))
        assert refused(raw).code == "IncompleteSignatureException"

    def test_without_a_date(self) -> None:
        assert "'X-Amz-Date' or a 'Date' header" in refused(without(sign(b"{}"), "x-amz-date")).text

    @pytest.mark.parametrize("date", ["yesterday", "2026-11-23T00:00:00Z", "2026-11-23T00:00", "2026W481T000000Z", "20261123T000000", "20261323T000000Z", "2026112３T000000Z"])
    def test_a_bad_date(self, date: str) -> None:
        raw = [(key, date.encode("latin-1", "replace") if key.lower() == b"x-amz-date" else value) for key, value in sign(b"{}")]
        assert refused(raw).code == "IncompleteSignatureException"

    @pytest.mark.parametrize("late", [301.0, 86400.0])
    def test_too_late(self, late: float) -> None:
        now = datetime.now(UTC).timestamp() + late
        problem = refused(sign(b"{}"), now=now)
        assert problem.code == "InvalidSignatureException"
        assert problem.text.startswith("Signature expired: ")
        assert " is now earlier than " in problem.text
        assert problem.text.endswith("- 5 min.)")

    def test_too_early(self) -> None:
        problem = refused(sign(b"{}"), now=datetime.now(UTC).timestamp() - 302)
        assert problem.text.startswith("Signature not yet current: ")

    @pytest.mark.parametrize("skew", [-290.0, 290.0])
    def test_five_minutes_are_forgiven(self, skew: float) -> None:
        claim = sigv4.read(sigv4.fold(sign(b"{}")))
        sigv4.check_scope(claim, region=REGION, service=SERVICE, now=datetime.now(UTC).timestamp() + skew)

    @pytest.mark.parametrize(
        ("old", "new", "text"),
        [
            ("/us-east-1/", "/eu-west-1/", "valid region, not 'eu-west-1'"),
            ("/workmail/", "/ses/", "correct service: 'workmail'"),
            ("/aws4_request", "/aws3_request", "valid terminator: 'aws4_request'"),
        ],
    )
    def test_another_scope(self, old: str, new: str, text: str) -> None:
        problem = refused(altered(sign(b"{}"), "authorization", lambda value: value.replace(old, new)))
        assert problem.code == "InvalidSignatureException"
        assert text in problem.text

    def test_the_scope_of_another_day(self) -> None:
        today = datetime.now(UTC).strftime("%Y%m%d")
        problem = refused(altered(sign(b"{}"), "authorization", lambda value: value.replace(f"/{today}/", "/20200101/")))
        assert "Date in Credential scope does not match" in problem.text

    @pytest.mark.parametrize("name", ["host", "x-amz-date", "x-amz-target", "x-amz-security-token"])
    def test_a_header_that_must_be_signed(self, name: str) -> None:
        def change(value: str) -> str:
            start, end = value.split("SignedHeaders=")
            names, rest = end.split(",", 1)
            kept = ";".join(signed for signed in names.split(";") if signed != name)
            return f"{start}SignedHeaders={kept},{rest}"

        problem = refused(altered(sign(b"{}", token="a-token"), "authorization", change))
        assert problem.code == "InvalidSignatureException"
        assert "must be a 'SignedHeader'" in problem.text

    def test_a_header_signed_twice(self) -> None:
        raw = altered(sign(b"{}"), "authorization", lambda value: value.replace("SignedHeaders=host", "SignedHeaders=host;host"))
        assert "named twice" in refused(raw).text

    def test_a_field_given_twice(self) -> None:
        raw = altered(sign(b"{}"), "authorization", lambda value: value + ", Credential=AKIAOTHER/20260101/us-east-1/workmail/aws4_request")
        assert refused(raw).code == "IncompleteSignatureException"

    def test_a_hash_that_the_client_gives_is_not_believed(self) -> None:
        body = b'{"OrganizationId":"m-1"}'
        raw = sign(body, {"X-Amz-Content-SHA256": sha256(body).hexdigest()})
        verify(raw, body)
        assert refused(raw, b'{"OrganizationId":"m-2"}').code == "InvalidSignatureException"

    def test_an_endless_header(self) -> None:
        raw = altered(sign(b"{}"), "authorization", lambda value: value + ",x=" + "y" * 5000)
        assert refused(raw).code == "IncompleteSignatureException"

    @given(st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
    def test_nothing_breaks_the_reader(self, noise: bytes) -> None:
        for text in (noise, b"AWS4-HMAC-SHA256 " + noise):
            raw = [(key, text if key.lower() == b"authorization" else value) for key, value in sign(b"{}")]
            assert refused(raw).code.endswith("Exception")


def test_a_date_header_will_do() -> None:
    body = b"{}"
    request = AWSRequest("POST", "http://example.test/", data=body, headers={"Host": "example.test", "Date": "x"})
    SigV4Auth(Credentials("AKIAEXAMPLE", SECRET), SERVICE, REGION).add_auth(request)
    assert "X-Amz-Date" not in request.headers
    raw = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    verify(raw, body)
    unsigned = altered(raw, "authorization", lambda value: value.replace("SignedHeaders=date;host", "SignedHeaders=host"))
    assert unsigned != raw
    assert "'Date' must be a 'SignedHeader'" in refused(unsigned, body).text
