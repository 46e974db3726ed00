"""The life of queued mail: over real sockets to other servers, by a real name server, with time in our hands."""

import asyncio
import email
import email.policy
import ssl
from email.message import EmailMessage

import pytest
import trustme

from postroom.directory import registration
from postroom.mailflow import queue
from postroom.mailflow.resolver import Resolver
from postroom.storage.engine import Store
from postroom.storage.queries import queue as rows
from tests.conftest import Clock, make_organization
from tests.dns import NameServer
from tests.mailflow.conftest import MakeCarrier, OpenElsewhere
from tests.mailflow.letters import lease, letter, receive, send
from tests.people import People, add_group, add_user, inbox

HOUR = 3600.0


def waiting(store: Store, scope: int = 1) -> list[str]:
    with store.transaction(scope, write=False) as tx:
        return [row[2] for row in rows.page(tx, after=0, limit=100)]


def bounces(store: Store, people: People, name: str = "alice") -> list[EmailMessage]:
    found = [email.message_from_bytes(raw, policy=email.policy.default) for raw in inbox(store, 1, people.ids[name])]
    return [message for message in found if message.get_content_type() == "multipart/report"]


def recipient_fields(bounce: EmailMessage) -> list[EmailMessage]:
    report = next(part for part in bounce.walk() if part.get_content_type() == "message/delivery-status")
    return list(report.get_payload())[1:]


async def test_to_the_mail_exchanger_and_gone(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    dns[0].host("far.test")
    raw = (
        letter(sender="alice@example.test", more="Message-ID: <a@example.test>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n")
        + b".dot\r\n..\r\n"
    )
    send(store, people.actor("alice"), "x@far.test", "y@far.test", raw=raw)
    await make_carrier(port=far.port).sweep()
    [(sender, recipients, got)] = far.got
    assert (sender, recipients) == ("alice@example.test", ["x@far.test", "y@far.test"])
    assert got.startswith(b"DKIM-Signature:")
    assert got.endswith(b"\r\n" + raw.removeprefix(b"Return-Path: <alice@example.test>\r\n"))
    assert waiting(store) == []
    with store.transaction(1, write=False) as tx:
        assert rows.count(tx) == (0, 0)


async def test_the_best_exchanger_that_answers(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere(host="127.0.0.1")
    best = await open_elsewhere(host="127.0.0.3", port=far.port)
    worst = await open_elsewhere(host="127.0.0.2", port=far.port)
    dns[0].host("far.test", "127.0.0.9", exchange="dead.far.test", preference=5)
    dns[0].host("far.test", "127.0.0.3", exchange="good.far.test", preference=10)
    dns[0].host("far.test", "127.0.0.2", exchange="spare.far.test", preference=20)
    send(store, people.actor("alice"), "x@far.test")
    await make_carrier(port=far.port).sweep()
    assert (len(best.got), len(worst.got)) == (1, 0)


async def test_without_mx_to_the_address_of_the_domain(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    dns[0].add("far.test", "A", "127.0.0.1")
    send(store, people.actor("alice"), "x@far.test", "y@[127.0.0.1]")
    await make_carrier(port=far.port).sweep()
    assert sorted(recipients for _, recipients, _ in far.got) == [["x@far.test"], ["y@[127.0.0.1]"]]


async def test_a_better_exchanger_that_is_this_server_ends_the_search(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    """Those behind it would send the letter here again (RFC 5321 §5.1)."""
    ourselves = await open_elsewhere(host="127.0.0.2", name="mx.example.test")
    spare = await open_elsewhere(host="127.0.0.3", port=ourselves.port)
    dns[0].host("far.test", "127.0.0.2", exchange="alias.far.test", preference=10)
    dns[0].host("far.test", "127.0.0.3", exchange="spare.far.test", preference=20)
    send(store, people.actor("alice"), "x@far.test")
    await make_carrier(port=ourselves.port).sweep()
    (bounce,) = bounces(store, people)
    assert recipient_fields(bounce)[0]["Status"] == "5.4.6"
    assert (ourselves.got, spare.connections) == ([], 0)


async def test_ipv6_first_then_ipv4(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    dns[0].add("far.test", "MX", "10 mx.far.test.")
    dns[0].add("mx.far.test", "A", "127.0.0.1")
    dns[0].add("mx.far.test", "AAAA", "::1")
    send(store, people.actor("alice"), "x@far.test")
    await make_carrier(port=far.port).sweep()
    assert len(far.got) == 1  # nobody listens on ::1


@pytest.mark.parametrize(
    ("domain", "status"),
    [("null.test", "5.1.10"), ("absent.test", "5.1.2"), ("bare.test", "5.1.2"), ("ours.test", "5.4.6"), ("lost.test", "5.4.4")],
)
async def test_domains_that_take_no_mail_bounce_at_once(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], domain: str, status: str
) -> None:
    dns[0].add("null.test", "MX", "0 .")
    dns[0].add("bare.test", "TXT", '"nothing else"')
    dns[0].host("ours.test", exchange="mx.example.test")
    dns[0].add("lost.test", "MX", "10 gone.lost.test.")
    send(store, people.actor("alice"), f"x@{domain}")
    await make_carrier().sweep()
    (bounce,) = bounces(store, people)
    assert [fields["Status"] for fields in recipient_fields(bounce)] == [status]
    assert recipient_fields(bounce)[0]["Diagnostic-Code"].startswith("x-postroom; ")
    assert waiting(store) == []


async def test_dns_trouble_is_waited_for(
    store: Store, people: People, clock: Clock, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    dns[0].host("far.test")
    dns[0].failing.add("far.test")
    carrier = make_carrier(port=far.port)
    send(store, people.actor("alice"), "x@far.test")
    await carrier.sweep()
    assert waiting(store) == ["x@far.test"]
    dns[0].failing.clear()
    await carrier.sweep()
    assert far.got == []  # not due yet
    clock.advance(300)
    await carrier.sweep()
    assert len(far.got) == 1


async def test_a_bounce_says_who_said_what(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    far.answers = {"bad@far.test": "550 5.7.1 We do not want\tyou", "later@far.test": "450 4.2.1 Not now"}
    dns[0].host("far.test")
    send(store, people.actor("alice"), "bad@far.test", "good@far.test", "later@far.test")
    await make_carrier(port=far.port).sweep()
    assert [recipients for _, recipients, _ in far.got] == [["good@far.test"]]
    assert waiting(store) == ["later@far.test"]
    (bounce,) = bounces(store, people)
    assert bounce["Return-Path"] == "<>"
    assert bounce["Auto-Submitted"].startswith("auto-")
    assert bounce["To"].addresses[0].addr_spec == "alice@example.test"
    assert bounce.get_param("report-type") == "delivery-status"
    (fields,) = recipient_fields(bounce)
    assert fields["Final-Recipient"] == "rfc822; bad@far.test"
    assert fields["Action"] == "failed"
    assert fields["Status"] == "5.7.1"
    assert fields["Remote-MTA"] == "dns; mx.far.test"
    assert fields["Diagnostic-Code"] == "smtp; 550 5.7.1 We do not want you"
    returned = bounce.get_payload()[2]
    assert returned.get_content_type() == "text/rfc822-headers"
    assert "Subject: hello" in returned.get_content()
    assert "Return-Path: <alice" not in returned.get_content()


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
async def test_a_refusal_at_any_step_bounces(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere, step: str
) -> None:
    far = await open_elsewhere()
    far.answers = {step: "554 5.6.0 No"}
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test")
    send(store, people.actor("alice"), "y@far.test")
    await make_carrier(port=far.port, connections_per_domain=1).sweep()
    assert [fields["Status"] for bounce in bounces(store, people) for fields in recipient_fields(bounce)] == ["5.6.0", "5.6.0"]
    assert far.connections == 1


async def test_retries_for_five_days_then_a_bounce(
    store: Store, people: People, clock: Clock, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    far.answers = {"RCPT": "450 4.2.2 Mailbox full"}
    dns[0].host("far.test")
    carrier = make_carrier(port=far.port)
    send(store, people.actor("alice"), "x@far.test")
    start, attempts = clock.now, []
    while waiting(store):
        before = far.connections
        await carrier.sweep()
        assert clock.now - start >= queue.WARNING or not bounces(store, people)
        if far.connections > before:
            attempts.append(clock.now - start)
        with store.transaction(1, write=False) as tx:
            clock.advance(queue.next_due(tx) or 0)
    assert attempts[:5] == [0, 300, 900, 2100, 4500]
    assert 5 * 24 * HOUR <= attempts[-1] < 5 * 24 * HOUR + 60
    warning, bounce = bounces(store, people)
    assert [fields["Action"] for fields in recipient_fields(warning)] == ["delayed"]
    assert recipient_fields(warning)[0]["Will-Retry-Until"]
    assert [fields["Action"] for fields in recipient_fields(bounce)] == ["failed"]
    assert recipient_fields(bounce)[0]["Status"] == "4.2.2"


async def test_a_null_reverse_path_is_never_answered(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    far.answers = {"RCPT": "550 5.1.1 No"}
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test", sender="", raw=letter(sender="alice@example.test"))
    await make_carrier(port=far.port).sweep()
    assert (waiting(store), bounces(store, people)) == ([], [])


async def test_a_server_that_hangs_up_is_tried_again(
    store: Store, people: People, clock: Clock, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    far.answers = {"DATA": "hang up"}
    dns[0].host("far.test")
    carrier = make_carrier(port=far.port)
    send(store, people.actor("alice"), "x@far.test")
    await carrier.sweep()
    assert waiting(store) == ["x@far.test"]
    far.answers = {}
    clock.advance(300)
    await carrier.sweep()
    assert len(far.got) == 1


async def test_a_crashed_carriers_rows_come_due_again_and_two_carriers_share_nothing(
    store: Store, people: People, clock: Clock, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test")
    with store.transaction(1) as tx:
        (parcel,) = lease(tx, "who crashed", 10)
    await make_carrier(port=far.port).sweep()
    assert far.got == []
    clock.advance(queue.LEASE + 1)
    await asyncio.gather(make_carrier(port=far.port).sweep(), make_carrier(port=far.port).sweep())
    assert len(far.got) == 1
    with store.transaction(1) as tx:
        assert not queue.done(tx, "who crashed", parcel.copies[0])


def test_a_letter_for_one_domain_is_leased_whole(store: Store, people: People) -> None:
    send(store, people.actor("alice"), "x@far.test", "y@far.test", "z@near.test")
    with store.transaction(1) as tx:
        far, near = lease(tx, "one", 1)
    assert [copy.recipient for copy in far.copies] == ["x@far.test", "y@far.test"]
    assert [copy.recipient for copy in near.copies] == ["z@near.test"]


async def test_a_group_and_its_member_get_one_copy_however_little_room_there_is(
    store: Store, people: People, make_carrier: MakeCarrier
) -> None:
    make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        add_user(tx, "dave", "other.test")
    receive(store, "dave@other.test", "staff@example.test", "bob@example.test", scope=2)
    await make_carrier(in_flight=1).sweep()
    assert [len(inbox(store, 1, people.ids[name])) for name in ("alice", "bob")] == [1, 1]


async def test_a_lease_lasts_while_it_is_renewed(store: Store, people: People, clock: Clock) -> None:
    send(store, people.actor("alice"), "x@far.test")
    with store.transaction(1) as tx:
        (parcel,) = lease(tx, "one", 10)
    clock.advance(queue.LEASE - 1)
    with store.transaction(1) as tx:
        assert queue.renew(tx, "one", [parcel.copies[0].number]) == 1
        assert queue.renew(tx, "two", [parcel.copies[0].number]) == 0
    clock.advance(queue.LEASE - 1)
    with store.transaction(1) as tx:
        assert lease(tx, "two", 10) == []
        queue.give_back(tx, "one", [parcel])
    with store.transaction(1) as tx:
        assert len(lease(tx, "two", 10)) == 1


async def test_to_another_organization_of_this_server(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver]
) -> None:
    make_organization(store, number=2, alias="other")
    with store.transaction(2) as tx:
        dave = add_user(tx, "dave", "other.test")
        erin = add_user(tx, "erin", "other.test", quota_mb=1)
        add_group(tx, "team", "other.test", dave, erin)
    raw = letter() + b"x" * 900_000 + b"\r\n"
    receive(store, "alice@example.test", "team@other.test", "dave@other.test", "nobody@other.test", raw=raw)
    receive(store, "alice@example.test", "team@other.test", raw=raw)
    await make_carrier().sweep()
    text = raw.partition(b"\r\n")[2]
    assert [found.endswith(text) for found in inbox(store, 2, dave)] == [True, True]
    (found,) = inbox(store, 2, erin)
    assert found == raw.replace(b"From:", b'List-Id: "team" <team.other.test>\r\nList-Post: <mailto:team@other.test>\r\nPrecedence: list\r\nFrom:')
    assert waiting(store, 2) == ["erin@other.test"]
    assert dns[0].asked[0][0] == "far.test"  # the stranger is told of nobody@other.test
    assert waiting(store) == []


async def test_a_mailbox_that_was_full_gets_its_letter_when_there_is_room(
    store: Store, people: People, clock: Clock, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver]
) -> None:
    raw = letter() + b"x" * 600_000 + b"\r\n"
    receive(store, "carol@example.test", raw=raw)
    receive(store, "everybody@example.test", raw=raw + b"again\r\n")
    carrier = make_carrier()
    for _ in range(2):
        await carrier.sweep()
        assert waiting(store) == ["carol@example.test"]
        assert dns[0].asked == [], "strangers are not told of delays"
        clock.advance(5 * HOUR)
    with store.transaction(1) as tx:
        tx.run("UPDATE mailboxes SET quota_mb = 5 WHERE organization = :organization")
    await carrier.sweep()
    assert len(inbox(store, 1, people.ids["carol"])) == 2
    assert waiting(store) == []


async def test_a_bounce_to_who_has_gone_is_dropped(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver]
) -> None:
    send(store, people.actor("alice"), "x@absent.test")
    with store.transaction(1) as tx:
        registration.deregister(tx, people.ids["alice"])
    await make_carrier().sweep()
    assert waiting(store) == []


async def test_a_bounce_waits_for_room(
    store: Store, people: People, clock: Clock, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver]
) -> None:
    send(store, people.actor("carol"), "x@absent.test")
    receive(store, "carol@example.test", raw=letter() + b"x" * 1_048_400)
    carrier = make_carrier()
    await carrier.sweep()
    assert waiting(store) == ["carol@example.test"]
    with store.transaction(1) as tx:
        tx.run("UPDATE mailboxes SET quota_mb = 5 WHERE organization = :organization")
    clock.advance(300)
    await carrier.sweep()
    assert len(bounces(store, people, "carol")) == 1


async def test_a_lost_body_does_not_stop_the_queue(store: Store, people: People, make_carrier: MakeCarrier) -> None:
    send(store, people.actor("alice"), "x@absent.test")
    send(store, people.actor("alice"), "y@absent.test")
    with store.transaction(1) as tx:
        tx.run("UPDATE queue_messages SET content = 999 WHERE organization = :organization AND id = 1")
    await make_carrier().sweep()
    assert waiting(store) == ["x@absent.test"]
    assert len(bounces(store, people)) == 1


async def test_smtputf8_is_needed_or_not(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    old = await open_elsewhere(host="127.0.0.2", port=far.port, smtp={"enable_SMTPUTF8": False})
    dns[0].host("far.test")
    dns[0].host("old.test", "127.0.0.2")
    dns[0].host("xn--fr-viad.test")
    alice = people.actor("alice")
    send(store, alice, "jürgen@far.test", "jürgen@old.test", international=True)
    send(store, alice, "plain@old.test", "plain@fåär.test", international=True)
    await make_carrier(port=far.port).sweep()
    assert sorted(recipients for _, recipients, _ in far.got) == [["jürgen@far.test"], ["plain@xn--fr-viad.test"]]
    assert [recipients for _, recipients, _ in old.got] == [["plain@old.test"]]
    (bounce,) = bounces(store, people)
    assert "5.6.7" in bounce.as_string()


async def test_one_who_cannot_be_written_to_keeps_nobody_else_from_his_letter(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    old = await open_elsewhere(smtp={"enable_SMTPUTF8": False})
    dns[0].host("old.test")
    send(store, people.actor("alice"), "jürgen@old.test", "plain@old.test", international=True)
    await make_carrier(port=old.port).sweep()
    assert [recipients for _, recipients, _ in old.got] == [["plain@old.test"]]
    (bounce,) = bounces(store, people)
    assert "utf-8; jürgen@old.test" in bounce.get_payload()[1].as_bytes().decode()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(made)
    return made


async def test_tls_is_taken_where_it_is_offered_whatever_the_certificate(
    store: Store,
    people: People,
    make_carrier: MakeCarrier,
    dns: tuple[NameServer, Resolver],
    open_elsewhere: OpenElsewhere,
    authority: trustme.CA,
) -> None:
    far = await open_elsewhere(smtp={"tls_context": context(authority, "another.name"), "require_starttls": True})
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test")
    await make_carrier(port=far.port).sweep()
    assert len(far.got) == 1


async def test_a_server_whose_tls_is_broken_gets_it_in_plain(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    broken = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # no certificate: every handshake fails
    far = await open_elsewhere(smtp={"tls_context": broken})
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test")
    await make_carrier(port=far.port).sweep()
    assert (len(far.got), far.connections) == (1, 2)


async def test_the_smarthost_takes_everything_else(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    relay = await open_elsewhere()
    send(store, people.actor("alice"), "x@far.test", "y@other.example", "bob@example.test")
    await make_carrier(smarthost=f"127.0.0.1:{relay.port}").sweep()
    assert sorted(recipients for _, recipients, _ in relay.got) == [["x@far.test"], ["y@other.example"]]
    assert dns[0].asked == []


@pytest.mark.parametrize(("name", "arrives"), [("relay.test", True), ("another.test", False)])
async def test_a_smarthost_that_must_prove_its_name_and_gets_a_password(
    store: Store,
    people: People,
    make_carrier: MakeCarrier,
    dns: tuple[NameServer, Resolver],
    open_elsewhere: OpenElsewhere,
    authority: trustme.CA,
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    arrives: bool,
) -> None:
    from aiosmtpd.smtp import AuthResult, LoginPassword

    def authenticate(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=(data.login, data.password) == (b"us", b"secret"))

    authorities = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(authorities)
    relay = await open_elsewhere(
        smtp={"tls_context": context(authority, name), "authenticator": authenticate, "auth_required": True, "auth_require_tls": True}
    )
    dns[0].add("relay.test", "A", "127.0.0.1")
    send(store, people.actor("alice"), "x@far.test")
    carrier = make_carrier(
        smarthost=f"relay.test:{relay.port}",
        smarthost_tls="required",
        smarthost_ca=str(authorities),
        smarthost_user="us",
        smarthost_password="secret",
    )
    await carrier.sweep()
    assert (len(relay.got) == 1, waiting(store) == []) == (arrives, arrives)


async def test_many_messages_share_few_connections(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    dns[0].host("far.test")
    for number in range(30):
        send(store, people.actor("alice"), f"r{number}@far.test")
    await make_carrier(port=far.port, connections_per_domain=3, messages_per_connection=8).sweep()
    assert sorted(recipients[0] for _, recipients, _ in far.got) == sorted(f"r{number}@far.test" for number in range(30))
    assert 4 <= far.connections <= 6


async def test_run_wakes_at_a_new_letter_and_ends_at_close(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver], open_elsewhere: OpenElsewhere
) -> None:
    far = await open_elsewhere()
    dns[0].host("far.test")
    carrier = make_carrier(port=far.port)
    send(store, people.actor("alice"), "first@far.test")
    running = asyncio.create_task(carrier.run())
    async with asyncio.timeout(10):
        while len(far.got) < 1 or carrier._supply.lanes or carrier._supply._woken or waiting(store):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # it has nothing more to do
        await asyncio.to_thread(send, store, people.actor("alice"), "second@far.test")
        while len(far.got) < 2:
            await asyncio.sleep(0.01)
        await carrier.close()
        await running
    assert waiting(store) == []


async def test_close_gives_back_what_was_not_sent(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver]
) -> None:
    async def never_greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(never_greet, "127.0.0.1", 0)
    dns[0].host("far.test")
    for number in range(3):
        send(store, people.actor("alice"), f"r{number}@far.test")
    carrier = make_carrier(port=silent.sockets[0].getsockname()[1], connections_per_domain=1)
    running = asyncio.create_task(carrier.run())
    async with asyncio.timeout(10):
        while not carrier._supply.lanes:
            await asyncio.sleep(0.01)
    await carrier.close(0.1)
    await running
    silent.close()
    with store.transaction(1) as tx:
        assert sum(len(parcel.copies) for parcel in lease(tx, "another", 10)) == 3


async def test_who_hangs_up_while_the_carrier_closes_has_not_delayed_anything(
    store: Store, people: People, make_carrier: MakeCarrier, dns: tuple[NameServer, Resolver]
) -> None:
    async def hang_up_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not carrier._closing:
            await asyncio.sleep(0.01)
        writer.close()

    silent = await asyncio.start_server(hang_up_late, "127.0.0.1", 0)
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test")
    carrier = make_carrier(port=silent.sockets[0].getsockname()[1])
    running = asyncio.create_task(carrier.run())
    async with asyncio.timeout(10):
        while not carrier._supply.lanes:
            await asyncio.sleep(0.01)
    await carrier.close(5)
    await running
    silent.close()
    with store.transaction(1) as tx:
        (parcel,) = lease(tx, "another", 10)
    assert [copy.attempts for copy in parcel.copies] == [0]


async def test_the_resolver_reads_what_a_name_server_says(dns: tuple[NameServer, Resolver]) -> None:
    server, resolver = dns
    server.add("far.test", "MX", "20 B.far.test.", "10 a.far.test.")
    server.add("far.test", "TXT", '"one " "string"')
    server.silent.add("quiet.test")
    assert await resolver.exchanges("far.test") == [(10, "a.far.test"), (20, "b.far.test")]
    assert await resolver.texts("far.test") == ["one string"]
    assert await resolver.addresses("far.test") == []
    with pytest.raises(Exception, match="no name server"):
        await resolver.exchanges("quiet.test")


async def test_close_while_it_looks_for_work(people: People, make_carrier: MakeCarrier) -> None:
    carrier = make_carrier()
    running = asyncio.create_task(carrier.run())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await carrier.close()
        await running
