"""The program served from a configuration file of a test's own, on free ports."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any

import boto3

from tests.program import COMMAND, Program

BASE = """
data = "data"
[mail]
hostname = "mail.lab.test"
[api]
listen = ["127.0.0.1:0"]
[smtp]
listen = ["127.0.0.1:0"]
[submission]
listen = ["127.0.0.1:0"]
listen_tls = ["127.0.0.1:0"]
[imap]
listen = ["127.0.0.1:0"]
listen_tls = ["127.0.0.1:0"]
[managesieve]
listen = ["127.0.0.1:0"]
"""


def configured(folder: Path, text: str) -> Path:
    path = folder / "postroom.toml"
    path.write_text(BASE + text)
    return path


def postroom(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, arguments[0], "--config", str(config), *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def key_of(program: Program) -> tuple[str, str]:
    """Give the access key that the first start printed."""
    found = re.search(r"AWS_ACCESS_KEY_ID=(\S+)\nAWS_SECRET_ACCESS_KEY=(\S+)\n", program.tail())
    assert found
    return found[1], found[2]


def workmail(program: Program) -> Any:
    key, secret = key_of(program)
    return boto3.client(
        "workmail", endpoint_url=program.ready.api, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
    )


def eventually(check: Any, seconds: float = 30.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found
