"""Mail domains with the whole program: registered by boto3, shown by `postroom domains`, proved by a real name server, written to Route 53."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.interop.nameserver import Nameserver
from tests.program import Program, running
from tests.server.served import configured, eventually, postroom, workmail

NAME = "letters.test"


@pytest.fixture
def nameserver() -> Iterator[Nameserver]:
    with Nameserver({}) as server:
        yield server


@pytest.fixture
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def publish(nameserver: Nameserver, printed: str) -> None:
    """Put lines of a zone file into the name server."""
    for name, kind, value in re.findall(r"^(\S+)\. (TXT|MX|CNAME) (.+)$", printed, re.MULTILINE):
        nameserver.zone.setdefault((name, kind), []).append(value)


def policy_of(program: Program, name: str) -> tuple[int, bytes]:
    """Ask the web door for a domain's MTA-STS policy, whatever certificate it shows; gives status and body."""
    host, port = json.loads((program.folder / "ready.json").read_text())["web_tls"]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, port, context=context, timeout=30)
    connection.request("GET", "/.well-known/mta-sts.txt", headers={"Host": f"mta-sts.{name}"})
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.effect("RegisterMailDomain", "GetMailDomain")
def test_a_domain_from_registration_to_its_published_keys(tmp_path: Path, nameserver: Nameserver) -> None:
    web = '[web]\nlisten_tls = ["127.0.0.1:0"]\n[mta_sts]\nmode = "testing"\n'
    config = configured(tmp_path, f'[dns]\nnameservers = ["127.0.0.1:{nameserver.port}"]\n{web}')
    with running(Program(["serve", "--config", str(config)], tmp_path / "run")) as program:
        client = workmail(program)
        organization = client.create_organization(Alias="letters")["OrganizationId"]
        here = {"OrganizationId": organization, "DomainName": NAME}
        client.register_mail_domain(**here)
        assert policy_of(program, NAME)[0] == 404
        assert client.get_mail_domain(**here)["OwnershipVerificationStatus"] == "PENDING"
        refused = postroom(config, "domains", "verify", NAME)
        assert refused.returncode == 1
        assert f"-> _amazonses.{NAME}. TXT " in refused.stdout

        printed = postroom(config, "domains", "records", NAME).stdout
        shown = client.get_mail_domain(**here)["Records"]
        listed, _, beside = printed.partition("; for a second signature")
        assert [line.split()[:2] for line in listed.splitlines()] == [[f"{one['Hostname']}.", one["Type"]] for one in shown]
        selectors = re.findall(rf"^(\w{{32}}-ed25519)\._domainkey\.{NAME}\. CNAME \1\.dkim\.mail\.lab\.test\.$", beside, re.MULTILINE)
        assert len(selectors) == 3
        sts = rf'; for MTA-STS, mode testing, .*\n_mta-sts\.{NAME}\. TXT "v=STSv1; id=\w+;"\nmta-sts\.{NAME}\. CNAME mail\.lab\.test\.$'
        assert re.search(sts, beside)
        publish(nameserver, listed)
        client.register_mail_domain(**here)  # asks DNS at once, not within a minute
        eventually(lambda: client.get_mail_domain(**here)["OwnershipVerificationStatus"] == "VERIFIED")
        eventually(lambda: client.get_mail_domain(**here)["DkimVerificationStatus"] == "VERIFIED")
        assert policy_of(program, NAME) == (200, b"version: STSv1\r\nmode: testing\r\nmx: mail.lab.test\r\nmax_age: 604800\r\n")
        user = client.create_user(OrganizationId=organization, Name="alice", DisplayName="Alice")["UserId"]
        client.register_to_work_mail(OrganizationId=organization, EntityId=user, Email=f"alice@{NAME}")

        keys = postroom(config, "domains", "keys", NAME).stdout
        assert re.findall(r"^(\w{32})\.dkim\.mail\.lab\.test\. TXT \"v=DKIM1; k=rsa; p=", keys, re.MULTILINE) == [
            one["Hostname"].partition(".")[0] for one in shown if "_domainkey" in one["Hostname"]
        ]
        assert max(len(text) for text in re.findall(r'"([^"]*)"', keys)) <= 255
        assert re.search(rf"warning +{NAME}: no key at ", postroom(config, "check").stdout)
        publish(nameserver, keys)
        assert re.search(rf"ok +{NAME}: 6 DKIM keys are published", postroom(config, "check").stdout)
        assert re.findall(r"^(\S+)\.dkim\.mail\.lab\.test\. TXT \"v=DKIM1; k=ed25519; p=", keys, re.MULTILINE) == selectors
        assert "-ed25519" not in postroom(config, "domains", "verify", NAME).stdout
        for selector in selectors:  # as a recursive name server finds it behind the CNAME
            nameserver.zone[f"{selector}._domainkey.{NAME}", "TXT"] = nameserver.zone[f"{selector}.dkim.mail.lab.test", "TXT"]
        assert re.search(r"signs with (\w{32}) and \1-ed25519$", postroom(config, "domains", "verify", NAME).stdout, re.MULTILINE)
        listed = postroom(config, "domains", "list").stdout
        assert re.search(rf"^VERIFIED +VERIFIED +{organization} {NAME}$", listed, re.MULTILINE)
        other = postroom(config, "domains", "keys", "other.test")
        assert (other.returncode, other.stdout) == (1, "")


@pytest.mark.effect("CreateOrganization")
def test_the_records_of_a_hosted_zone_are_written_there(tmp_path: Path, moto: str) -> None:
    route53 = boto3.client("route53", endpoint_url=moto, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret")
    zone = route53.create_hosted_zone(Name=NAME, CallerReference="1")["HostedZone"]["Id"].rpartition("/")[2]
    aws = f'[aws]\nenabled = true\naccess_key_id = "key"\nsecret_access_key = "secret"\nendpoint = "{moto}"\n[domains]\nverify = false\n'
    config = configured(tmp_path, aws)
    with running(Program(["serve", "--config", str(config)], tmp_path / "run")) as program:
        client = workmail(program)
        made = client.create_organization(Alias="letters", Domains=[{"DomainName": NAME, "HostedZoneId": zone}])["OrganizationId"]
        wanted = {(one["Hostname"], one["Type"]) for one in client.get_mail_domain(OrganizationId=made, DomainName=NAME)["Records"]}

        def written() -> bool:
            found = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
            return wanted <= {(one["Name"].rstrip("."), one["Type"]) for one in found}

        eventually(written)
