"""Functions of AWS Lambda as hooks, by the Invoke API as moto speaks it; no Docker, so a function's answer is told to moto beforehand."""

import io
import json
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import replace

import boto3
import pytest
from moto.server import ThreadedMotoServer

from postroom.aws.clients import Aws
from postroom.aws.settings import Settings as AwsSettings
from postroom.server.hooks.calls import Calls
from postroom.server.hooks.settings import Settings
from postroom.server.hooks.worker import Hooking
from postroom.storage.engine import Store
from tests.mailflow.letters import receive
from tests.mailflow.test_sieve import places
from tests.people import People
from tests.server.hooks.test_answers import ALICE, BOB, SCAN, TELL, put, waiting

KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}


class Moto:
    """AWS as moto plays it, and a function there."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._tell("config", {"lambda": {"use_docker": False}})
        iam = boto3.client("iam", region_name="us-east-1", endpoint_url=endpoint, **KEYS)
        role = iam.create_role(RoleName="hooks", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("scan.py", "def answer(event, context):\n    return None\n")
        functions = boto3.client("lambda", region_name="us-east-1", endpoint_url=endpoint, **KEYS)
        code = {"ZipFile": packed.getvalue()}
        made = functions.create_function(FunctionName="scan", Runtime="python3.11", Role=role, Handler="scan.answer", Code=code)
        self.arn: str = made["FunctionArn"]

    def answers(self, *answers: str) -> None:
        """Say what the function answers next."""
        self._tell("static/lambda-simple/response", {"results": list(answers)})

    def _tell(self, what: str, said: object) -> None:
        request = urllib.request.Request(f"{self.endpoint}/moto-api/{what}", json.dumps(said).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status in (200, 201)


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    yield Moto("http://{}:{}".format(*server.get_host_and_port()))
    server.stop()


def working(store: Store, moto: Moto) -> Hooking:
    aws = Aws(AwsSettings(enabled=True, access_key_id="key", secret_access_key="secret", endpoint=moto.endpoint), "us-east-1")
    return Hooking(store, Calls({"named": Settings(function="scan")}, aws, store.now))


async def test_a_function_says_what_is_done(store: Store, people: People, moto: Moto) -> None:
    put(store, replace(SCAN, target=moto.arn))
    order = {"action": {"type": "DROP"}, "recipients": [ALICE]}
    others = {"action": {"type": "MOVE_TO_JUNK"}, "allRecipients": "true"}
    moto.answers(json.dumps({"actions": [order, others]}))
    receive(store, ALICE, BOB)
    await working(store, moto).sweep()
    assert (places(store, people, "alice"), places(store, people, "bob"), waiting(store)) == ({}, {"Junk Email": [0]}, 0)


async def test_a_function_by_its_name_is_called_again_when_it_makes_no_sense(store: Store, people: People, moto: Moto) -> None:
    put(store, replace(SCAN, target="named", minutes=0))
    moto.answers("null")
    receive(store, ALICE)
    await working(store, moto).sweep()
    assert places(store, people, "alice") == {"Junk Email": [0]}


async def test_a_function_that_is_told_keeps_nobody_waiting(store: Store, people: People, moto: Moto) -> None:
    put(store, replace(TELL, target=moto.arn))
    moto.answers("null")
    receive(store, ALICE)
    assert (places(store, people, "alice"), waiting(store)) == ({"Inbox": [0]}, 1)
    await working(store, moto).sweep()
    assert waiting(store) == 0
