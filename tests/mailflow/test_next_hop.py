"""Other servers as they are: with odd answers, slow, out of reach; and nobody else's mail suffers for it."""

import asyncio
import re
import tracemalloc
from collections.abc import Callable

import pytest
from aiosmtplib.protocol import SMTPProtocol
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.directory import domains, organizations, registration
from postroom.mailbox import contents
from postroom.mailflow import queue, routes
from postroom.mailflow.assessment import OURS
from postroom.mailflow.envelopes import Envelope
from postroom.mailflow.outbound.calling import Place
from postroom.mailflow.outbound.carrier import Carrier
from postroom.mailflow.outbound.demand import opportunistic
from postroom.mailflow.outbound.link import Link, _blocks
from postroom.mailflow.outbound.settings import Settings
from postroom.mailflow.resolver import Resolver
from postroom.mailflow.verdicts import Fate
from postroom.protocols.smtp.connection import Connection, Content, End
from postroom.storage.engine import Store
from tests.conftest import Clock, make_organization
from tests.dns import NameServer
from tests.mailflow.conftest import MakeCarrier, OpenScripted
from tests.mailflow.letters import letter, receive, send
from tests.mailflow.scripted import Answer
from tests.mailflow.test_outbound import bounces, recipient_fields, waiting
from tests.people import People

Dns = tuple[NameServer, Resolver]


async def test_a_reply_in_the_moment_the_message_ends_is_heard(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = await open_scripted(END=b"")
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test")
    write = SMTPProtocol.write

    def write_and_hear(protocol: SMTPProtocol, data: bytes) -> None:
        write(protocol, data)
        if data == b".\r\n":
            protocol.data_received(b"250 Taken already\r\n")  # an event loop may read before it runs what is ready

    monkeypatch.setattr(SMTPProtocol, "write", write_and_hear)
    await make_carrier(port=far.port, data_timeout=1.0).sweep()
    assert waiting(store) == []


@pytest.mark.parametrize("code", [b"450 4.1.1", b"550 5.1.1"])
async def test_an_answer_that_is_no_text_is_settled_all_the_same(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted, code: bytes
) -> None:
    far = await open_scripted(RCPT=lambda line: code + b" Empf\xe4nger\0\x1b weg\r\n" if b"bad" in line else b"250 OK\r\n")
    dns[0].host("far.test")
    send(store, people.actor("alice"), "good@far.test", "bad@far.test")
    await make_carrier(port=far.port).sweep()
    with store.transaction(1, write=False) as tx:
        assert queue.next_due(tx) == (300 if code.startswith(b"4") else None)
    for bounce in bounces(store, people):
        assert recipient_fields(bounce)[0]["Diagnostic-Code"].endswith("5.1.1 Empf?nger weg")
    assert len(far.bodies) == 1


async def test_a_letter_refused_at_data_does_not_spoil_the_next(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    answers = iter([b"450 4.7.1 Greylisted\r\n"])
    far = await open_scripted(DATA=lambda line: next(answers, b"354 go on\r\n"))
    dns[0].host("far.test")
    for name in "xy":
        send(store, people.actor("alice"), f"{name}@far.test")
    await make_carrier(port=far.port, connections_per_domain=1).sweep()
    assert (waiting(store), len(far.bodies), bounces(store, people)) == (["x@far.test"], 1, [])


async def test_a_yes_to_data_itself_is_no_delivery(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    far = await open_scripted(DATA=b"250 OK\r\n")
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test")
    await make_carrier(port=far.port).sweep()
    assert waiting(store) == ["x@far.test"]


async def test_any_yes_to_mail_goes_on_to_the_message(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    far = await open_scripted(MAIL=b"251 Fine\r\n")
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test")
    await make_carrier(port=far.port).sweep()
    assert (waiting(store), len(far.bodies)) == ([], 1)


async def test_a_server_that_has_had_enough_of_a_connection_gets_another(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    far = await open_scripted()
    far.messages = 2
    dns[0].host("far.test")
    for number in range(5):
        send(store, people.actor("alice"), f"r{number}@far.test")
    await make_carrier(port=far.port, connections_per_domain=1).sweep()
    assert (waiting(store), len(far.bodies), far.connections) == ([], 5, 3)


async def test_a_greeting_may_take_longer_than_the_call(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    far = await open_scripted()
    far.greet_after = 0.6
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test")
    await make_carrier(port=far.port, connect_timeout=0.3).sweep()
    assert len(far.bodies) == 1


async def test_a_large_letter_may_take_longer_than_the_reply_to_it(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    far = await open_scripted()
    far.read_after = 2.5
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test", raw=letter(sender="alice@example.test") + (b"x" * 998 + b"\r\n") * 8_000)
    await make_carrier(port=far.port, data_timeout=2.0).sweep()
    assert (len(far.bodies), waiting(store)) == (1, [])


async def test_a_reply_in_the_middle_of_a_letter_is_heard(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    far = await open_scripted(DATA=b"354 go on\r\n552 5.3.4 Too much\r\n")
    far.read_after = 0.3
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test", raw=letter(sender="alice@example.test") + (b"x" * 998 + b"\r\n") * 8_000)
    await make_carrier(port=far.port).sweep()
    assert [fields["Status"] for bounce in bounces(store, people) for fields in recipient_fields(bounce)] == ["5.3.4"]


async def test_a_large_letter_on_its_way_is_held_once() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 far.test\r\n")
        for answer in (b"250 far.test", b"250 OK", b"250 OK", b"354 go on"):
            await reader.readline()
            writer.write(answer + b"\r\n")
        end = b""
        while end != b"\r\n.\r\n":
            end = (end + await reader.read(65536))[-5:]
        writer.write(b"250 OK\r\n")
        writer.close()

    listener = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    place = Place("far.test", "127.0.0.1", port)
    link = await Link.open(Settings(hostname="mx.example.test"), place, opportunistic("far.test"), lambda *_: None, smarthost=False)
    assert isinstance(link, Link)
    raw = (b"x" * 98 + b"\r\n") * 100_000
    copies = (queue.Copy(1, "x@far.test", 0, "", warned=False),)
    parcel = queue.Parcel(1, 1, "far.test", 1, len(raw), "a@example.test", "", False, False, 0.0, copies)
    tracemalloc.start()
    ((_, verdict),) = await link.send(parcel, raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await link.quit()
    listener.close()
    assert verdict.fate is Fate.DELIVERED
    assert peak < len(raw) / 2


@given(st.lists(st.sampled_from([b"\r\n", b"\r\n.", b".", b"\r", b"\n", b"x" * 9, b"x" * 70_000]), max_size=12).map(b"".join))
@settings(max_examples=150, deadline=None)
def test_the_next_server_reads_what_was_meant(raw: bytes) -> None:
    """Only the end is an end, and nothing goes out that a lax reader could take for it."""
    wire = b"".join(_blocks(raw))
    framing = Connection()
    framing.expect_content()
    framing.receive(wire)
    events = list(iter(framing.next, None))
    meant = re.sub(rb"(?<!\r)\n|\r(?!\n)", b"\r\n", raw)
    assert events[-1] == End("")
    assert b"".join(event.octets for event in events if isinstance(event, Content)) == meant + (
        b"" if meant.endswith(b"\r\n") or not meant else b"\r\n"
    )


@pytest.mark.parametrize("more", range(-2, 3))
def test_a_line_longer_than_a_block_keeps_its_end(more: int) -> None:
    raw = b"x" * (64 * 1024 + more) + b"\r\nlast\r\n"
    assert b"".join(_blocks(raw)) == raw + b".\r\n"


@pytest.mark.parametrize("tls", ["required", "opportunistic"])
async def test_a_smarthost_without_tls_gets_no_password(
    store: Store, people: People, make_carrier: MakeCarrier, open_scripted: OpenScripted, tls: str
) -> None:
    asked: list[bytes] = []
    relay = await open_scripted(
        EHLO=b"250-relay.test\r\n250 AUTH PLAIN LOGIN\r\n",
        AUTH=lambda line: asked.append(line) or b"235 OK\r\n",  # type: ignore[func-returns-value]
    )
    send(store, people.actor("alice"), "x@far.test")
    settings = {"smarthost": f"127.0.0.1:{relay.port}", "smarthost_tls": tls, "smarthost_user": "us", "smarthost_password": "secret"}
    await make_carrier(**settings).sweep()
    assert (asked, relay.bodies, waiting(store)) == ([], [], ["x@far.test"])


async def test_a_smarthost_that_must_have_tls_and_has_none_gets_nothing(
    store: Store, people: People, make_carrier: MakeCarrier, open_scripted: OpenScripted
) -> None:
    relay = await open_scripted()
    send(store, people.actor("alice"), "x@far.test")
    await make_carrier(smarthost=f"127.0.0.1:{relay.port}", smarthost_tls="required").sweep()
    assert (relay.connections, relay.bodies, waiting(store)) == (1, [], ["x@far.test"])


async def test_too_many_recipients_in_the_old_spelling_are_tried_again(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    """RFC 5321 §4.5.3.1.10."""
    far = await open_scripted(RCPT=lambda line: b"552 Too many recipients\r\n" if b"second" in line else b"250 OK\r\n")
    dns[0].host("far.test")
    send(store, people.actor("alice"), "first@far.test", "second@far.test")
    await make_carrier(port=far.port).sweep()
    assert (len(far.bodies), waiting(store), bounces(store, people)) == (1, ["second@far.test"], [])


async def test_a_host_out_of_reach_is_called_once_for_all_who_wait(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    silent = await open_scripted(host="127.0.0.2")
    silent.greet_after = 30
    far = await open_scripted(port=silent.port)
    dns[0].host("silent.test", "127.0.0.2")
    dns[0].host("far.test")
    for number in range(6):
        send(store, people.actor("alice"), f"r{number}@silent.test")
    send(store, people.actor("alice"), "x@far.test")
    await make_carrier(port=far.port, connections_per_domain=2, greeting_timeout=0.3).sweep()
    assert (silent.connections, len(far.bodies), len(waiting(store))) == (1, 1, 6)


async def test_who_gets_no_connection_leaves_the_letters_to_who_has_one(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    far = await open_scripted()
    far.welcome = 1
    far.read_after = 0.05
    dns[0].host("far.test")
    send(store, people.actor("alice"), *(f"r{number}@far.test" for number in range(8)))
    await make_carrier(port=far.port, connections_per_domain=3, recipients_per_message=1).sweep()
    assert 1 < far.connections <= 3
    assert len(far.bodies) == 8


async def test_who_has_lost_a_letter_to_another_holder_tells_its_author_nothing(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    def take_over(line: bytes) -> bytes:
        with store.transaction(1) as tx:
            tx.run("UPDATE queue_recipients SET holder = 'another' WHERE organization = :organization")
        return b"550 5.1.1 No\r\n"

    far = await open_scripted(RCPT=take_over)
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test")
    await make_carrier(port=far.port).sweep()
    assert (waiting(store), bounces(store, people)) == (["x@far.test"], [])


async def test_so_many_connections_are_open_and_no_more(
    store: Store, people: People, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    heard: list[bytes] = []

    def note(answer: bytes) -> Answer:
        return lambda line: heard.append(line[:4]) or answer  # type: ignore[func-returns-value]

    far = await open_scripted(MAIL=note(b"250 OK\r\n"), QUIT=note(b"221 bye\r\n"))
    far.greet_after = 0.05
    for number in range(3):
        dns[0].host(f"far{number}.test")
        send(store, people.actor("alice"), f"x@far{number}.test")
    await make_carrier(port=far.port, connections=1).sweep()
    assert heard == [b"MAIL", b"QUIT"] * 3


async def test_so_many_addresses_are_called_and_no_more(store: Store, people: People, make_carrier: MakeCarrier, dns: Dns) -> None:
    calls = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        writer.close()

    listener = await asyncio.start_server(hang_up, "0.0.0.0", 0)
    dns[0].add("far.test", "MX", "10 a.far.test.", "20 b.far.test.")
    for name, third in (("a.far.test", 1), ("b.far.test", 2)):
        dns[0].add(name, "A", *(f"127.0.{third}.{last}" for last in range(1, 8)))
    send(store, people.actor("alice"), "x@far.test")
    await make_carrier(port=listener.sockets[0].getsockname()[1]).sweep()
    listener.close()
    assert calls == routes.LONGEST


def test_exchanges_of_one_preference_share_the_mail() -> None:
    exchanges = [(5, "best.test"), *((10, f"{name}.test") for name in "abcdef"), (20, "worst.test")]
    orders = [routes.choose("far.test", exchanges, frozenset()) for _ in range(50)]
    assert {(order[0], order[-1]) for order in orders if isinstance(order, list)} == {("best.test", "worst.test")}
    assert len({order[1] for order in orders if isinstance(order, list)}) > 1


async def test_one_organizations_flood_does_not_hold_up_another(
    store: Store, people: People, dns: Dns, open_scripted: OpenScripted, run: Callable[..., Carrier]
) -> None:
    make_organization(store, number=2, alias="other")
    arrived: list[bytes] = []
    far = await open_scripted(RCPT=lambda line: arrived.append(line) or b"250 OK\r\n")  # type: ignore[func-returns-value]
    far.greet_after = 0.1
    for number in range(5):
        dns[0].host(f"far{number}.test")
        send(store, people.actor("alice"), f"x@far{number}.test")
    dns[0].host("near.test")
    with store.transaction(2) as tx:
        content = contents.keep(tx, contents.prepare(store, 2, letter()))
        queue.enqueue(tx, Envelope("dave@other.test", ("x@near.test",)), content, size=100, assessment=OURS)
    run(port=far.port, attempts=1)
    async with asyncio.timeout(10):
        while len(arrived) < 6:
            await asyncio.sleep(0.02)
    assert any(b"near.test" in line for line in arrived[:3])


async def test_a_deleted_organizations_queue_is_not_asked_for_any_more(store: Store, people: People, make_carrier: MakeCarrier) -> None:
    other = make_organization(store, number=2, alias="other")
    carrier = make_carrier()
    organizations.delete(store, other, force=True)
    await carrier._supply._guarded_serve(2)
    assert 2 not in carrier._supply._due


async def test_a_clock_that_jumps_sends_nothing_twice(
    store: Store, people: People, clock: Clock, make_carrier: MakeCarrier, dns: Dns, open_scripted: OpenScripted
) -> None:
    far = await open_scripted()
    far.greet_after = 0.2
    dns[0].host("far.test")
    send(store, people.actor("alice"), "x@far.test")
    carrier = make_carrier(port=far.port)
    await carrier._supply.serve(1)
    clock.advance(queue.LEASE + 1)
    await carrier.sweep()
    assert (waiting(store), len(far.bodies)) == ([], 1)


async def test_what_has_arrived_is_settled_before_the_next_transaction(
    store: Store, people: People, dns: Dns, open_scripted: OpenScripted, run: Callable[..., Carrier]
) -> None:
    named = 0

    def third_is_silence(line: bytes) -> bytes:
        nonlocal named
        named += 1
        return b"" if named > 2 else b"250 OK\r\n"

    far = await open_scripted(RCPT=third_is_silence)
    dns[0].host("far.test")
    send(store, people.actor("alice"), *(f"r{number}@far.test" for number in range(4)))
    carrier = run(port=far.port, recipients_per_message=2, connections_per_domain=1)
    async with asyncio.timeout(10):
        while named < 3:
            await asyncio.sleep(0.02)
    await carrier.close(0.1)
    assert waiting(store) == ["r2@far.test", "r3@far.test"]


async def test_a_reverse_path_that_leads_nowhere_does_not_keep_a_letter_for_ever(
    store: Store, people: People, make_carrier: MakeCarrier
) -> None:
    big = b"x" * 900_000 + b"\r\n"
    receive(store, "carol@example.test", raw=letter() + big)
    receive(store, "everybody@example.test", raw=letter("again") + big, sender=f"x@{'a' * 64}.test")
    with store.transaction(1) as tx:
        registration.deregister(tx, people.ids["carol"])
    await make_carrier().sweep()
    assert waiting(store) == []


async def test_a_letter_whose_way_could_not_be_asked_for_is_carried_later(
    store: Store,
    people: People,
    clock: Clock,
    make_carrier: MakeCarrier,
    dns: Dns,
    open_scripted: OpenScripted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    far = await open_scripted()
    dns[0].host("far.test")
    carrier = make_carrier(port=far.port)
    send(store, people.actor("alice"), "x@far.test")
    with monkeypatch.context() as broken:
        broken.setattr(domains, "route", None)  # as when the registry does not answer
        with pytest.raises(TypeError):
            await carrier.sweep()
    clock.advance(queue.LEASE + 1)
    await carrier.sweep()
    assert len(far.bodies) == 1
