"""A program whose organizations have their keys in KMS: one that is disabled there closes its organization, to every client, and no other."""

from __future__ import annotations

import re
import smtplib
import subprocess
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from tests.interop.reader import Reader
from tests.interop.test_exports import CONFIGURATION, FREE
from tests.program import COMMAND, Program, Ready, User, hire, running
from tests.storage.test_kms import REGION, Vault, endpoint, service_at

__all__ = ["endpoint"]


def configured(folder: Path, endpoint: str) -> tuple[Path, dict[str, str]]:
    """Write a configuration; gives it and the administrator's key."""
    (folder / "archive").mkdir(parents=True)
    config = folder / "postroom.toml"
    config.write_text(CONFIGURATION.format(free=FREE, endpoint=endpoint, key="key", secret="secret") + "[keys]\nkms = true\n")
    create = [*COMMAND, "keys", "--config", str(config), "create", "admin", "--full"]
    told = subprocess.run(create, capture_output=True, text=True, check=True).stdout
    return config, dict(zip(("access_key_id", "secret_access_key"), re.findall(r"^AWS_\w+=(.+)$", told, re.MULTILINE), strict=False))


def organized(ready: Ready, alias: str, **options: str) -> tuple[Ready, User]:
    """Make an organization with somebody in it."""
    made = ready.workmail().create_organization(Alias=alias, **options)["OrganizationId"]
    found = replace(ready, organization_id=made, domain=f"{alias}.lab.test")
    return found, hire(found, "alice")


def recipient_code(ready: Ready, user: User) -> int:
    with smtplib.SMTP(*ready.smtp, timeout=30) as smtp:
        smtp.helo("stranger.test")
        smtp.mail("bob@stranger.test")
        return smtp.rcpt(user.email)[0]


def test_a_disabled_key(tmp_path: Path, endpoint: str) -> None:
    client = boto3.client("kms", endpoint_url=endpoint, region_name=REGION, aws_access_key_id="key", aws_secret_access_key="secret")
    vault = Vault(client, client.create_key()["KeyMetadata"]["Arn"], service_at(endpoint))
    config, key = configured(tmp_path, endpoint)
    with running(Program(["serve", "--config", str(config)], tmp_path / "run")) as program:
        sealed, locked_out = organized(replace(program.ready, **key), "sealed", KmsKeyArn=vault.key)
        other, colleague = organized(replace(program.ready, **key), "other")
        assert recipient_code(sealed, locked_out) == recipient_code(other, colleague) == 250
        program.stop()
        vault.disable()
        program.launch()
        now = program.await_ready()
        sealed, other = (replace(one, **{name: getattr(now, name) for name in ("api", "smtp", "imaps")}) for one in (sealed, other))
        with pytest.raises(ClientError, match="ServiceUnavailableException.*is disabled"):
            sealed.workmail().list_users(OrganizationId=sealed.organization_id)
        with IMAPClient(*sealed.imaps, ssl_context=sealed.tls(), timeout=30) as imap, pytest.raises(LoginError, match="UNAVAILABLE"):
            imap.login(locked_out.email, locked_out.password)
        assert recipient_code(sealed, locked_out) == 451
        assert recipient_code(other, colleague) == 250
        with Reader(other, colleague) as reader:
            assert reader.letters() == {}
        assert len(other.workmail().list_users(OrganizationId=other.organization_id)["Users"]) == 1
