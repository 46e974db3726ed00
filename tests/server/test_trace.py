"""The story of a letter, from the journal of events."""

from __future__ import annotations

import json

from postroom.server import cli
from postroom.server.cli import trace
from tests.server.served import configured


def told(identifier, name, organization="m-1", **fields):
    return json.dumps({"eventTimestamp": "2026-01-01T00:00:00.000Z", "organizationId": organization, "traceId": identifier,
                       "event": {"eventName": name, **fields}}) + "\n"  # fmt: skip


def written(folder):
    logs = folder / "data" / "logs"
    logs.mkdir(parents=True)
    (logs / "events-20260101T000000Z-00000.jsonl").write_text(
        told("t1", "ORGANIZATION_EMAIL_RECEIVED", messageId="<a@x.test>")
        + told("t2", "ORGANIZATION_EMAIL_RECEIVED", messageId="<aa@x.test>")
        + "{half a line <a@x.test>\n"
    )
    (logs / "events.jsonl").write_text(
        told("t1", "MAILBOX_EMAIL_DELIVERED", recipient="mia@x.test", folder="IN\x1bBOX")
        + told("t3", "ORGANIZATION_EMAIL_RECEIVED", "m-2", messageId="<a@x.test>")
        + told("t2", "MAILBOX_EMAIL_DELIVERED", subject="<a@x.test> t1")
    )
    return logs


def test_a_message_id_leads_to_all_events_of_its_letters_and_to_no_others(tmp_path):
    logs = written(tmp_path)
    for wanted in ("a@x.test", "<a@x.test>"):
        assert [event["traceId"] for event, _ in trace.story(logs, wanted)] == ["t1", "t1", "t3"]
    assert [event["traceId"] for event, _ in trace.story(logs, "t2")] == ["t2", "t2"]


def test_the_command_tells_it_within_an_organization_and_says_when_nothing_is_known(tmp_path, capsys):
    config, _ = str(configured(tmp_path, "")), written(tmp_path)
    assert cli.main(["trace", "--config", config, "a@x.test", "--organization", "m-1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "MAILBOX_EMAIL_DELIVERED" in lines[1]
    assert "folder=IN?BOX" in lines[1]
    assert cli.main(["trace", "--config", config, "--json", "a@x.test"]) == 0
    assert [json.loads(line)["traceId"] for line in capsys.readouterr().out.splitlines()] == ["t1", "t1", "t3"]
    assert cli.main(["trace", "--config", config, "nothing@x.test"]) == 1
