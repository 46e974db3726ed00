"""What a sender wants to hear, and how a letter is to go: DSN, REQUIRETLS, FUTURERELEASE."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from postroom.mailflow import inbound, interventions, submission
from postroom.mailflow.assessment import UNKNOWN
from postroom.mailflow.envelopes import Envelope, Wish
from postroom.mailflow.resolver import Resolver
from postroom.policy import flow_rules
from postroom.policy.flow_rules import Action, Rule, Way
from postroom.storage.engine import Store
from tests.conftest import Clock, make_organization
from tests.dns import NameServer
from tests.mailflow.conftest import MakeCarrier
from tests.mailflow.letters import LIMITS, Raw, letter
from tests.mailflow.scripted import Scripted
from tests.mailflow.test_outbound import bounces, recipient_fields, waiting
from tests.people import People, add_group, add_user, inbox

SUCCESS = Wish("SUCCESS", "rfc822;bob+2Bx@far.test")
FAR = "x@far.test"


def submit(store: Store, people: People, *recipients: str, **envelope: object) -> None:
    """Let alice send a letter in an envelope."""
    actor = people.actor("alice")
    prepared = submission.prepare(store, actor, Raw(letter(sender=actor.email, more="X-Mark: here\r\n")), LIMITS)
    with store.transaction(1) as tx:
        submission.submit(tx, actor, Envelope(actor.email, recipients, **envelope), prepared)  # type: ignore[arg-type]


class Recording(Scripted):
    """A server elsewhere that keeps what MAIL and RCPT said."""

    def __init__(self, *keywords: bytes) -> None:
        self.said: list[str] = []
        greeting = b"".join(b"250-%s\r\n" % word for word in (b"elsewhere.test", *keywords)) + b"250 SIZE\r\n"
        super().__init__(EHLO=greeting, MAIL=self.keep, RCPT=self.keep)

    def keep(self, line: bytes) -> bytes:
        self.said.append(line.decode().strip())
        return b"250 OK\r\n"


@pytest_asyncio.fixture
async def far(dns: tuple[NameServer, Resolver]) -> AsyncIterator[Recording]:
    """A server of far.test; its keywords are set by `answers`."""
    server = Recording()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    dns[0].host("far.test")
    yield server
    listener.close()


def outcome(report: EmailMessage) -> tuple[str, str, str | None]:
    (told,) = recipient_fields(report)
    return told["Action"], told["Final-Recipient"], told["Original-Recipient"]


async def test_a_server_that_confirms_hears_what_is_wanted(store: Store, people: People, make_carrier: MakeCarrier, far: Recording) -> None:
    far.answers["EHLO"] = b"250-elsewhere.test\r\n250 DSN\r\n"
    submit(store, people, FAR, returns="HDRS", envelope_id="q+2B7", wishes={FAR: SUCCESS})
    await make_carrier(port=far.port).sweep()
    assert far.said == [
        "MAIL FROM:<alice@example.test> RET=HDRS ENVID=q+2B7",
        "RCPT TO:<x@far.test> NOTIFY=SUCCESS ORCPT=rfc822;bob+2Bx@far.test",
    ]
    assert bounces(store, people) == []


async def test_of_one_that_does_not_it_is_told_that_the_letter_went_there(
    store: Store, people: People, make_carrier: MakeCarrier, far: Recording
) -> None:
    submit(store, people, FAR, "y@far.test", envelope_id="q+2B7", wishes={FAR: SUCCESS})
    await make_carrier(port=far.port).sweep()
    assert far.said == ["MAIL FROM:<alice@example.test>" + far.said[0][30:], "RCPT TO:<x@far.test>", "RCPT TO:<y@far.test>"]
    assert "ENVID" not in far.said[0]
    (report,) = bounces(store, people)
    assert outcome(report) == ("relayed", "rfc822; x@far.test", "rfc822;bob+x@far.test")
    assert "Original-Envelope-Id: q+7" in report.as_string()


async def test_deliveries_here_are_confirmed_and_those_to_groups_called_so(store: Store, people: People, make_carrier: MakeCarrier) -> None:
    with store.transaction(1) as tx:
        add_group(tx, "crew", "example.test", people.ids["bob"])
    said = {address: Wish("SUCCESS,FAILURE") for address in ("bob@example.test", "crew@example.test")}
    submit(store, people, "bob@example.test", "crew@example.test", "carol@example.test", returns="FULL", wishes=said)
    await make_carrier().sweep()
    found = sorted(outcome(report)[:2] for report in bounces(store, people))
    assert found == [("delivered", "rfc822; bob@example.test"), ("expanded", "rfc822; crew@example.test")]
    assert "text of hello" not in "".join(report.as_string() for report in bounces(store, people))


async def test_who_wants_to_hear_nothing_does_not(store: Store, people: People, make_carrier: MakeCarrier, far: Recording) -> None:
    far.answers["RCPT"] = b"550 5.1.1 Nobody\r\n"
    submit(store, people, FAR, "y@far.test", "z@far.test", wishes={FAR: Wish("NEVER"), "y@far.test": Wish("SUCCESS,DELAY")})
    await make_carrier(port=far.port).sweep()
    (report,) = bounces(store, people)
    assert outcome(report) == ("failed", "rfc822; z@far.test", None)


async def test_a_letter_comes_back_whole_where_that_is_wanted(
    store: Store, people: People, make_carrier: MakeCarrier, far: Recording
) -> None:
    far.answers["RCPT"] = b"550 5.1.1 Nobody\r\n"
    for returns in ("FULL", "HDRS"):
        submit(store, people, FAR, returns=returns)
    await make_carrier(port=far.port).sweep()
    whole, part = (report.as_string() for report in bounces(store, people))
    assert ("text of hello" in whole, "text of hello" in part) == (True, False)
    assert "X-Mark: here" in part


async def test_a_delay_is_told_to_who_asked_for_it_alone(
    store: Store, people: People, make_carrier: MakeCarrier, far: Recording, clock: Clock
) -> None:
    far.answers["RCPT"] = b"450 4.2.0 Later\r\n"
    submit(store, people, FAR, "y@far.test", wishes={FAR: Wish("DELAY"), "y@far.test": Wish("FAILURE")})
    await make_carrier(port=far.port).sweep()
    clock.advance(4.5 * 3600)
    await make_carrier(port=far.port).sweep()
    (report,) = bounces(store, people)
    assert outcome(report) == ("delayed", "rfc822; x@far.test", None)


async def test_what_is_to_go_nowhere_in_plain_does_not(store: Store, people: People, make_carrier: MakeCarrier, far: Recording) -> None:
    far.answers["EHLO"] = b"250-elsewhere.test\r\n250 REQUIRETLS\r\n"
    submit(store, people, FAR, returns="FULL", require_tls=True)
    await make_carrier(port=far.port).sweep()
    assert far.bodies == []
    (report,) = bounces(store, people)
    assert recipient_fields(report)[0]["Status"] == "5.7.30"
    assert "text of hello" not in report.as_string()


@pytest.mark.parametrize(("keyword", "taken"), [("REQUIRETLS", 1), ("HELP", 0)])
async def test_it_goes_to_who_is_known_and_promises_the_same(
    store: Store, people: People, make_carrier: MakeCarrier, tmp_path: Path, keyword: str, taken: int
) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = Recording(keyword.encode())
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    where = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    submit(store, people, FAR, require_tls=True)
    await make_carrier(smarthost=where, smarthost_tls="implicit", smarthost_ca=str(tmp_path / "ca.pem")).sweep()
    listener.close()
    assert len(server.bodies) == taken
    assert [line.endswith(" REQUIRETLS") for line in server.said if line.startswith("MAIL")] == [True] * taken
    assert [recipient_fields(report)[0]["Status"] for report in bounces(store, people)] == ["5.7.30"] * (1 - taken)


@pytest.mark.parametrize(("action", "confirmed"), [(Action.DROP, 0), (Action.JUNK, 1)])
async def test_what_another_organization_drops_is_not_confirmed(
    store: Store, people: People, make_carrier: MakeCarrier, action: Action, confirmed: int
) -> None:
    other = make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        add_user(tx, "dave", other.default_domain)
        flow_rules.put(tx, Rule(Way.INBOUND, "all", action))
    submit(store, people, "dave@other.test", wishes={"dave@other.test": Wish("SUCCESS")})
    await make_carrier().sweep()
    assert (waiting(store), len(bounces(store, people))) == ([], confirmed)


async def test_a_stranger_who_may_be_somebody_else_hears_of_no_delivery(store: Store, people: People) -> None:
    envelope = Envelope("stranger@far.test", ("bob@example.test",), wishes={"bob@example.test": SUCCESS})
    prepared = inbound.prepare(store, 1, envelope, Raw(letter()), LIMITS, UNKNOWN)
    with store.transaction(1) as tx:
        inbound.deliver(tx, envelope, prepared, UNKNOWN)
    assert len(inbox(store, 1, people.ids["bob"])) == 1
    assert waiting(store) == []


@pytest.mark.parametrize("release", [False, True])
async def test_a_letter_whose_time_has_not_come_is_not_hurried(store: Store, people: People, clock: Clock, release: bool) -> None:
    submit(store, people, FAR, hold_until=clock.now + 3600)
    with store.transaction(1) as tx:
        if release:
            interventions.hold(tx, interventions.page(tx, {}), "to see")
            interventions.release(tx, interventions.page(tx, {}))
        else:
            assert interventions.retry(tx, interventions.page(tx, {})) == 0
        (copy,) = interventions.page(tx, {})
    assert (copy.state, copy.due_at, copy.queued_at) == ("waiting", clock.now + 3600, clock.now + 3600)


async def test_a_letter_waits_until_its_time_for_colleagues_too(
    store: Store, people: People, make_carrier: MakeCarrier, far: Recording, clock: Clock
) -> None:
    submit(store, people, FAR, "bob@example.test", hold_until=clock.now + 3600)
    await make_carrier(port=far.port).sweep()
    assert (far.bodies, inbox(store, 1, people.ids["bob"])) == ([], [])
    clock.advance(3601)
    await make_carrier(port=far.port).sweep()
    assert (len(far.bodies), len(inbox(store, 1, people.ids["bob"]))) == (1, 1)
