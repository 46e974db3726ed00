"""Members leave groups by the link in their letters, over HTTPS and with nothing but the link."""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from postroom.mailflow import lists
from postroom.model.web import Answer, Request
from postroom.server import configuration
from postroom.server.configuration import ConfigurationError
from postroom.server.web import leaving
from postroom.storage.engine import Store
from postroom.storage.queries import members
from tests.conftest import make_organization
from tests.people import PASSWORD, People, populate
from tests.program import Program, running
from tests.server.served import configured, eventually, postroom, workmail

FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
ONE_CLICK = b"List-Unsubscribe=One-Click"
MULTIPART = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'


@pytest.fixture
def people(store: Store) -> People:
    return populate(store, make_organization(store))


async def ask(store: Store, path: str, method: str = "GET", body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    (route,) = [route for route in leaving.routes(store) if method in route.methods]
    assert route.stands_for("mail.example.test", path)
    assert not route.plain
    return await route.handler(Request(method, "mail.example.test", path, headers=headers or {}, body=body, secure=True))


def path_of(store: Store, people: People, name: str, group: str = "staff") -> str:
    with store.transaction(1, write=False) as tx:
        return lists.PATH + lists.token(tx, people.ids[group], people.ids[name])


def is_member(store: Store, people: People, name: str) -> bool:
    with store.transaction(1, write=False) as tx:
        return people.ids[name] in members.all_of(tx, people.ids["staff"])


async def test_a_look_asks_and_a_click_leaves(store: Store, people: People) -> None:
    path = path_of(store, people, "alice")
    answer = await ask(store, path)
    assert answer.status == 200
    assert b"Leave the group staff?" in answer.body
    assert b'<input type="hidden" name="List-Unsubscribe" value="One-Click">' in answer.body
    assert is_member(store, people, "alice")
    for wrong in (b"", b"List-Unsubscribe=Two-Clicks", b"x=" + ONE_CLICK, b"&" * 1000, b"\xff\xfe"):
        assert (await ask(store, path, "POST", wrong, FORM)).status == 400
    assert is_member(store, people, "alice")
    for _ in range(2):
        assert (await ask(store, path, "POST", ONE_CLICK, FORM)).status == 200
    assert (is_member(store, people, "alice"), is_member(store, people, "bob")) == (False, True)
    assert (
        await ask(store, path_of(store, people, "bob"), "POST", MULTIPART, {"content-type": "multipart/form-data; boundary=x"})
    ).status == 200
    assert not is_member(store, people, "bob")


@pytest.mark.parametrize(
    "tail", ["", "x", "9.g.m." + "A" * 22, "1.g.m." + "A" * 22, "0.g.m." + "A" * 22, "999999999.g.m." + "A" * 22, "../x"]
)
async def test_what_is_no_link_leaves_nothing(store: Store, people: People, tail: str) -> None:
    assert (await ask(store, lists.PATH + tail)).status == 404
    assert (await ask(store, lists.PATH + tail, "POST", ONE_CLICK, FORM)).status == 404


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[groups]\nleave_at = "http://mail.example.org"\n[web]\nlisten_tls = ["*:443"]', "must begin with https://"),
        ('[groups]\nleave_at = "https://mail.example.org"', r"needs \[web\] listen_tls"),
        ('[groups]\nleave_at = "https://"\n[web]\nlisten_tls = ["*:443"]', "must begin with https://"),
        ('[groups]\nleave_at = "https://a/b?c"\n[web]\nlisten_tls = ["*:443"]', r"\[groups\] leave_at: "),
    ],
)
def test_links_that_lead_nowhere_are_refused_at_the_start(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        configuration.parse(text, Path("/srv"))


def test_from_a_letter_to_the_group_to_leaving_it(tmp_path: Path) -> None:
    """With the whole program: a group made by boto3, a letter by SMTP, the link by IMAP, the click by HTTPS."""
    import imaplib
    import smtplib

    config = configured(tmp_path, '[web]\nlisten_tls = ["127.0.0.1:0"]\n[groups]\nleave_at = "https://127.0.0.1/"\n')
    with running(Program(["serve", "--config", str(config)], tmp_path / "run")) as program:
        client = workmail(program)
        organization = client.create_organization(Alias="club")["OrganizationId"]
        eventually(lambda: client.describe_organization(OrganizationId=organization)["State"] == "Active")
        domain = client.list_mail_domains(OrganizationId=organization)["MailDomains"][0]["DomainName"]
        user = client.create_user(OrganizationId=organization, Name="ann", DisplayName="Ann", Password=PASSWORD)["UserId"]
        group = client.create_group(OrganizationId=organization, Name="chess")["GroupId"]
        for entity, name in ((user, "ann"), (group, "chess")):
            client.register_to_work_mail(OrganizationId=organization, EntityId=entity, Email=f"{name}@{domain}")
        client.associate_member_to_group(OrganizationId=organization, GroupId=group, MemberId=user)
        with smtplib.SMTP(*program.ready.smtp) as smtp:
            smtp.sendmail(
                "s@far.test",
                [f"chess@{domain}"],
                "From: s@far.test\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@far.test>\r\n\r\ntext\r\n",
            )
        context = ssl.create_default_context(cafile=program.ready.ca_file)
        with imaplib.IMAP4_SSL(*program.ready.imaps, ssl_context=context) as imap:
            imap.login(f"ann@{domain}", PASSWORD)
            imap.select()
            (_, raw), *_ = imap.fetch("1", "(BODY[HEADER])")[1]
        assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw
        found = re.search(rb"List-Unsubscribe: <https://127\.0\.0\.1(/unsubscribe/\S+)>", raw)
        assert found
        host, port = json.loads((tmp_path / "run" / "ready.json").read_text())["web_tls"]
        url = f"https://{host}:{port}{found[1].decode()}"
        assert b"Leave the group chess?" in urllib.request.urlopen(url, context=context).read()
        assert len(client.list_group_members(OrganizationId=organization, GroupId=group)["Members"]) == 1
        with urllib.request.urlopen(url, data=ONE_CLICK, context=context) as answer:
            assert answer.status == 200
        assert client.list_group_members(OrganizationId=organization, GroupId=group)["Members"] == []
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url[:-1] + ("A" if url[-1] != "A" else "B"), data=ONE_CLICK, context=context)
    assert postroom(config, "domains", "list").returncode == 0
