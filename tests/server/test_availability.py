"""Availability providers tried over real sockets: an EWS-like HTTPS server, Lambda as moto offers it, addresses that are never asked."""

from __future__ import annotations

import base64
import http.server
import io
import json
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme
from moto.server import ThreadedMotoServer

from postroom.aws.clients import Aws
from postroom.aws.settings import Settings as AwsSettings
from postroom.formats import availability as protocol
from postroom.model.availability import EwsProvider, LambdaProvider, Requester
from postroom.model.errors import TryLater
from postroom.server.availability import Probe
from postroom.server.availability_settings import Settings
from postroom.server.dns.lookups import Lookups
from tests.interop.nameserver import Nameserver
from tests.program import Program, running
from tests.server.served import configured, eventually, key_of, workmail

HOST = "ews.lab.test"
USER, PASSWORD = "LAB\\postroom", "Pässword: 1"
ANSWER = b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><GetFolderResponse/></s:Body></s:Envelope>'
QUESTION = protocol.question(Requester("p@example.test", "p", "p", "m-0", "192.0.2.1"), ["a@other.test"], 0.0, 86_400.0)
KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
AUTHORITY = trustme.CA()


class Responder:
    """An HTTPS server that lets one user in; `status`, `body` and `headers` are what it answers to them."""

    def __init__(self, names: tuple[str, ...] = (HOST,)) -> None:
        self.status, self.body, self.headers = 200, ANSWER, {"Content-Type": "text/xml"}
        self.waits = threading.Event()
        self.waits.set()
        self.asked: list[tuple[str, str, bytes]] = []
        outer = self
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((self.path, self.headers["Host"], body))
                outer.waits.wait(30)
                let_in = self.headers["Authorization"] == wanted
                self.send_response(outer.status if let_in else 401)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(outer.body if let_in else b"")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        AUTHORITY.issue_cert(*names).configure_cert(context)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self.waits.set()
        self.server.shutdown()
        self.server.server_close()

    def provider(self, *, host: str = HOST, username: str = USER, password: str = PASSWORD) -> EwsProvider:
        return EwsProvider(f"https://{host}:{self.port}/EWS/Exchange.asmx", username, password)


@contextmanager
def responding(*names: str) -> Iterator[Responder]:
    responder = Responder(names or (HOST,))
    try:
        yield responder
    finally:
        responder.close()


@pytest.fixture
def responder() -> Iterator[Responder]:
    with responding() as opened:
        yield opened


@pytest.fixture
def nameserver() -> Iterator[Nameserver]:
    with Nameserver({(HOST, "A"): ["127.0.0.1"], ("far.lab.test", "A"): ["169.254.169.254"], ("here.lab.test", "AAAA"): ["::1"]}) as opened:
        yield opened


@pytest.fixture
def ca(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def probing(nameserver: Nameserver, ca: str) -> Callable[..., Probe]:
    lookups = Lookups([f"127.0.0.1:{nameserver.port}"])
    return lambda *, private=True, ca=ca, aws=None, seconds=20.0: Probe(
        lookups, Settings(private_addresses=private, ca=ca), aws, seconds=seconds
    )


def test_a_user_who_is_let_in(responder: Responder, probing: Callable[..., Probe]) -> None:
    assert probing()(responder.provider(), QUESTION) == ""
    [(path, host, body)] = responder.asked
    assert (path, host) == ("/EWS/Exchange.asmx", f"{HOST}:{responder.port}")
    assert b"GetFolder" in body
    responder.status = 500  # an error in the answer is an answer
    assert probing()(responder.provider(), QUESTION) == ""


def test_a_wrong_password(responder: Responder, probing: Callable[..., Probe]) -> None:
    for provider in (responder.provider(password="other"), responder.provider(username="other")):
        assert probing()(provider, QUESTION) == "The endpoint refuses the user name or the password."


def test_what_is_no_ews_server(responder: Responder, probing: Callable[..., Probe]) -> None:
    probe = probing()
    responder.body = b"<html>Welcome secret-of-the-page</html>"
    assert probe(responder.provider(), QUESTION) == "The endpoint answers 200, and not as an EWS server does."
    responder.body, responder.status = ANSWER, 404
    assert "404" in probe(responder.provider(), QUESTION)
    responder.status, responder.body = 200, b"x" * 3_000_000 + ANSWER
    assert "not as an EWS" in probe(responder.provider(), QUESTION)


def test_no_redirect_is_followed(responder: Responder, probing: Callable[..., Probe]) -> None:
    with responding() as other:
        responder.status, responder.headers = 307, {"Location": other.provider().endpoint}
        assert "redirects" in probing()(responder.provider(), QUESTION)
        assert other.asked == []


def test_the_certificate_must_be_the_hosts_and_trusted(probing: Callable[..., Probe]) -> None:
    with responding("another.lab.test") as responder:
        assert "certificate" in probing()(responder.provider(), QUESTION)
        assert responder.asked == []
    with responding() as responder:
        assert "certificate" in probing(ca="")(responder.provider(), QUESTION)
        assert responder.asked == []


def test_silence_has_an_end(responder: Responder, probing: Callable[..., Probe]) -> None:
    responder.waits.clear()
    reason = probing(seconds=0.5)(responder.provider(), QUESTION)
    assert reason.startswith(("There is no answer within 0.5 seconds.", "The endpoint does not answer"))


def test_two_are_tried_at_once(responder: Responder, probing: Callable[..., Probe]) -> None:
    responder.waits.clear()
    probe = probing()
    reasons: list[str] = []
    threads = [threading.Thread(target=lambda: reasons.append(probe(responder.provider(), QUESTION))) for _ in range(2)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(responder.asked) == 2)
    with pytest.raises(TryLater):
        probe(responder.provider(), QUESTION)
    responder.waits.set()
    for thread in threads:
        thread.join()
    assert reasons == ["", ""]
    assert probe(responder.provider(), QUESTION) == ""


def test_this_machine_and_its_clouds_credentials_are_not_asked(responder: Responder, probing: Callable[..., Probe]) -> None:
    for host in (HOST, "here.lab.test", "127.0.0.1", "10.0.0.1"):
        assert probing(private=False)(responder.provider(host=host), QUESTION) == f"{host} has no address that may be asked."
    for host in ("far.lab.test", "169.254.169.254"):
        assert probing()(responder.provider(host=host), QUESTION) == f"{host} has no address that may be asked."
    for host in ("2130706433", "0x7f.1", "localhost", "no.lab.test"):
        assert probing()(responder.provider(host=host), QUESTION) == f"{host} has no address."
    assert responder.asked == []


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    post(f"{endpoint}/moto-api/config", {"lambda": {"use_docker": False}})
    yield endpoint
    server.stop()


def post(url: str, value: Any) -> None:
    request = urllib.request.Request(url, json.dumps(value).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()


@pytest.fixture
def function(moto: str) -> Iterator[Callable[[Any], LambdaProvider]]:
    """Make a function that gives one answer."""
    iam = boto3.client("iam", endpoint_url=moto, region_name="us-east-1", **KEYS)
    client = boto3.client("lambda", endpoint_url=moto, region_name="us-east-1", **KEYS)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("lambda_function.py", "def lambda_handler(event, context): return {}")
    role = iam.create_role(RoleName="availability", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    made = client.create_function(
        FunctionName="availability",
        Runtime="python3.11",
        Role=role,
        Handler="lambda_function.lambda_handler",
        Code={"ZipFile": code.getvalue()},
    )

    def answering(value: Any) -> LambdaProvider:
        post(f"{moto}/moto-api/static/lambda-simple/response", {"results": [value if isinstance(value, str) else json.dumps(value)]})
        return LambdaProvider(made["FunctionArn"])

    yield answering
    client.delete_function(FunctionName="availability")
    iam.delete_role(RoleName="availability")


@pytest.fixture
def aws(moto: str) -> Aws:
    return Aws(AwsSettings(enabled=True, access_key_id="key", secret_access_key="secret", endpoint=moto), "us-east-1")


def test_a_function_that_answers(function: Callable[[Any], LambdaProvider], aws: Aws, probing: Callable[..., Probe]) -> None:
    provider = function({"mailboxes": [{"mailbox": "a@other.test", "error": "MailboxNotFound"}]})
    assert probing(aws=aws)(provider, QUESTION) == ""


def test_a_function_that_answers_something_else(function: Callable[[Any], LambdaProvider], aws: Aws, probing: Callable[..., Probe]) -> None:
    reason = probing(aws=aws)(function("Simple Lambda happy path OK"), QUESTION)
    assert reason.startswith("The function's answer cannot be read: ")


def test_a_function_that_lets_anybody_in(
    function: Callable[[Any], LambdaProvider], aws: Aws, moto: str, probing: Callable[..., Probe]
) -> None:
    client = boto3.client("lambda", endpoint_url=moto, region_name="us-east-1", **KEYS)
    service = "availability.workmail.us-east-1.amazonaws.com"
    permission = {"FunctionName": "availability", "Action": "lambda:InvokeFunction", "Principal": service}
    client.add_permission(StatementId="one", SourceAccount="123456789012", **permission)
    assert probing(aws=aws)(function({"mailboxes": []}), QUESTION) == ""
    client.add_permission(StatementId="two", **permission)
    assert "aws:SourceArn" in probing(aws=aws)(function({"mailboxes": []}), QUESTION)


@contextmanager
def refusing(status: int, headers: dict[str, str], body: bytes) -> Iterator[Aws]:
    """Answer every call of the Lambda API alike."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        yield Aws(AwsSettings(enabled=True, access_key_id="key", secret_access_key="secret", endpoint=endpoint), "us-east-1")
    finally:
        server.shutdown()
        server.server_close()


def test_silent_functions_keep_others_from_being_tried_no_longer_than_they_are_waited_for(probing: Callable[..., Probe]) -> None:
    function = LambdaProvider("arn:aws:lambda:us-east-1:123456789012:function:silent")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        aws = Aws(AwsSettings(enabled=True, access_key_id="key", secret_access_key="secret", endpoint=endpoint), "us-east-1")
        probe = probing(aws=aws, seconds=0.2)
        for _ in range(3):
            assert probe(function, QUESTION) == "There is no answer within 0.2 seconds."


def test_a_function_that_is_not_there_or_fails(probing: Callable[..., Probe]) -> None:
    function = LambdaProvider("arn:aws:lambda:us-east-1:123456789012:function:nowhere")
    missing = b'{"Type":"User","Message":"Function not found: ' + b"x" * 500 + b'"}'
    with refusing(404, {"X-Amzn-ErrorType": "ResourceNotFoundException"}, missing) as aws:
        reason = probing(aws=aws)(function, QUESTION)
        assert reason.startswith("The function cannot be invoked: An error occurred (ResourceNotFoundException)")
        assert len(reason) == 256
    with refusing(200, {"X-Amz-Function-Error": "Unhandled"}, b'{"mailboxes": []}') as aws:
        assert probing(aws=aws)(function, QUESTION) == "The function ended with an error."
    with refusing(200, {}, b'{"mailboxes": []}' + b" " * 1024 * 1024) as aws:
        assert probing(aws=aws)(function, QUESTION) == "The function's answer cannot be read: it is too long"
    assert probing()(function, QUESTION) == "This server has no access to AWS Lambda."


@pytest.mark.effect("CreateAvailabilityConfiguration", "UpdateAvailabilityConfiguration", "TestAvailabilityConfiguration")
def test_the_whole_program_by_the_aws_command_line(responder: Responder, nameserver: Nameserver, ca: str, tmp_path: Path) -> None:
    private = f'[dns]\nnameservers = ["127.0.0.1:{nameserver.port}"]\n[availability]\nca = "{ca}"\nprivate_addresses = true\n'
    config = configured(tmp_path, private)
    with running(Program(["serve", "--config", str(config)], tmp_path / "run")) as program:
        key, secret = key_of(program)
        organization = workmail(program).create_organization(Alias="letters")["OrganizationId"]

        def aws(operation: str, *arguments: str) -> Any:
            command = [str(Path(sys.executable).with_name("aws")), "--endpoint-url", program.ready.api, "workmail", operation]
            environment = {
                "AWS_ACCESS_KEY_ID": key,
                "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_DEFAULT_REGION": "us-east-1",
                "HOME": str(tmp_path),
            }
            done = subprocess.run(
                [*command, "--organization-id", organization, *arguments], capture_output=True, text=True, env=environment, check=False
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout or "{}")

        def ews(password: str) -> str:
            provider = responder.provider(password=password)
            return json.dumps({"EwsEndpoint": provider.endpoint, "EwsUsername": provider.username, "EwsPassword": password})

        aws("create-availability-configuration", "--domain-name", "other.test", "--ews-provider", ews("wrong"))
        failed = aws("test-availability-configuration", "--domain-name", "other.test")
        assert failed == {"TestPassed": False, "FailureReason": "The endpoint refuses the user name or the password."}
        aws("update-availability-configuration", "--domain-name", "other.test", "--ews-provider", ews(PASSWORD))
        assert aws("test-availability-configuration", "--domain-name", "other.test") == {"TestPassed": True}
        shown = json.dumps(aws("list-availability-configurations"), ensure_ascii=False)
        assert responder.provider().endpoint in shown
        for text in (shown, program.log.read_text()):
            assert PASSWORD not in text
