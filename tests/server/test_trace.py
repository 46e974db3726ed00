"""The story of a letter, from the journal of events."""

from __future__ import annotations

import json
import re
import smtplib
import socketserver
import threading

from postroom.mailflow import destinations, queue
from postroom.mailflow.assessment import OURS
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.verdicts import Fate, Verdict
from postroom.server import cli
from postroom.server.cli import trace
from tests.program import demo, running
from tests.server.served import configured, eventually, postroom


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
        assert [event["traceId"] for event, _ in trace.story(logs, trace.letters(logs, wanted))] == ["t1", "t1", "t3"]
    assert [event["traceId"] for event, _ in trace.story(logs, trace.letters(logs, "t2"))] == ["t2", "t2"]


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


def test_what_waits_in_the_queue_is_shown_with_its_attempts_and_the_last_reply(tmp_path):
    """A smarthost that says 451 to one and nothing at all to others."""
    with Grumpy() as peer, running(demo(tmp_path, smarthost=f"127.0.0.1:{peer.port}")) as program:
        user = program.ready.users[0]
        letter = f"From: {user.email}\r\nSubject: Slow\r\nMessage-ID: <slow@demo.test>\r\n\r\nHello\r\n"
        with smtplib.SMTP_SSL(*program.ready.submissions, context=program.ready.tls()) as client:
            client.login(user.email, user.password)
            client.sendmail(user.email, ["a@one.test", "b@two.test"], letter)
        config = tmp_path / "data" / "postroom.toml"

        def waiting():
            lines = postroom(config, "trace", "--json", "<slow@demo.test>").stdout.splitlines()
            events = [json.loads(line) for line in lines]
            found = [event["event"] for event in events if event["event"]["eventName"] == "WAITS_IN_QUEUE"]
            return found if len(found) == 2 and all(one["attempts"] for one in found) else []

        found = eventually(waiting)
        text = postroom(config, "trace", "slow@demo.test").stdout
    assert {one["recipient"]: one["destination"] for one in found} == {"a@one.test": "one.test", "b@two.test": "two.test"}
    assert all(one["attempts"] == 1 and "4.2.0 Not today" in one["lastReply"] for one in found)
    assert all(one["nextAttempt"] < one["givenUp"] for one in found)
    assert re.search(r"WAITS_IN_QUEUE .*recipient=a@one\.test .*attempts=1 nextAttempt=\S+ lastReply=.*Not today", text)
    assert text.index("OUTGOING_EMAIL_SUBMITTED") < text.index("OUTGOING_EMAIL_DELAYED") < text.index("WAITS_IN_QUEUE")
    for address in ("a@one.test", "b@two.test"):
        told = rf"OUTGOING_EMAIL_DELAYED .*recipient={address} attempt=1 status=4\.2\.0 host=127\.0\.0\.1 reply=.*4\.2\.0 Not today"
        assert re.search(told, text), text


def test_what_is_known_of_a_destination_out_of_reach_is_told_with_its_copies(store, organization, clock):
    with store.transaction(organization.number) as tx:
        queue.enqueue(tx, Envelope(sender="a@example.test", recipients=("x@far.test",)), 1, size=9, assessment=OURS, trace="t1")
        queue.enqueue(tx, Envelope(sender="a@example.test", recipients=("y@far.test",)), 2, size=9, assessment=OURS, trace="t2", hold=queue.Hold("admin", "why"))
        destinations.put_off(tx, "far.test", Verdict(Fate.DEFERRED, "4.4.1", "no route", host="mx.far.test"))
    clock.advance(1)
    (told,) = trace.queued_in(store, organization.number, ["t1", "t9"], "<none@far.test>")
    shown = told["event"]
    assert (told["organizationId"], told["traceId"], shown["attempts"]) == (organization.id, "t1", 0)
    assert shown["destinationReply"] == "mx.far.test 4.4.1 no route"
    assert (shown["destinationFailures"], shown["destinationTried"]) == (1, shown["destinationUnreachableSince"])
    assert shown["nextAttempt"] == "2027-01-15T08:05:00.000Z"
    (held,) = trace.queued_in(store, organization.number, ["t2"], "<none@far.test>")
    assert (held["event"]["heldBy"], held["event"]["heldFor"]) == ("admin", "why")
    assert "nextAttempt" not in held["event"]


class Grumpy(socketserver.ThreadingTCPServer):
    """A mail server that takes no recipient today."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Refusal)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Refusal(socketserver.StreamRequestHandler):
    """Its conversation."""

    def handle(self):
        self.wfile.write(b"220 grumpy.test\r\n")
        while line := self.rfile.readline(2000):
            verb = line[:4].upper()
            answers = {b"EHLO": b"250 grumpy.test\r\n", b"RCPT": b"451 4.2.0 Not today\r\n", b"QUIT": b"221 Bye\r\n"}
            self.wfile.write(answers.get(verb, b"250 OK\r\n"))
            if verb == b"QUIT":
                return
