"""Killed again and again while mail leaves: all of it arrives, and twice only what the dead program may not have heard of.

The sink notes of each letter whether its client went on after the 250, which ours does only when it has written down that the letter has
left. So a copy may come again only if the conversation ended with that 250. POSTROOM_CRASH_SEED draws other moments; thoroughly, five thousand copies leave.
"""

from __future__ import annotations

import asyncio
import random
import smtplib
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from tests.conftest import THOROUGH
from tests.crash.test_crash import SEED
from tests.program import demo, hire, running

KILLS = 20 if THOROUGH else 6
DOMAINS = 10
"""A letter has a recipient in each of so many domains, and leaves for each of them by itself."""
LETTERS = 500 if THOROUGH else 100

pytestmark = [pytest.mark.crash, pytest.mark.slow]


@dataclass
class Taking:
    """A copy that was taken; `told` is whether the client certainly knows."""

    told: bool = False


class Sink:
    """A smarthost that takes everything, not too fast."""

    def __init__(self) -> None:
        self.taken: dict[tuple[str, str], list[Taking]] = defaultdict(list)

    def _went_on(self, session: Any) -> None:
        for taking in getattr(session, "last", ()):
            taking.told = True

    async def handle_MAIL(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        self._went_on(session)
        envelope.mail_from = address
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Any, envelope: Any) -> str:
        self._went_on(session)
        return "221 bye"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        await asyncio.sleep(0.02)
        subject = next(line[9:] for line in envelope.content.decode().splitlines() if line.startswith("Subject: "))
        session.last = [Taking() for _ in envelope.rcpt_tos]
        for recipient, taking in zip(envelope.rcpt_tos, session.last, strict=True):
            self.taken[subject, recipient].append(taking)
        return "250 2.0.0 taken"


@pytest.fixture
def sink() -> Iterator[tuple[Sink, str]]:
    """Run one in a thread; yield its memory and its address."""
    handler = Sink()
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: SMTP(handler, loop=loop), "127.0.0.1", 0))
    host, port = server.sockets[0].getsockname()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield handler, f"{host}:{port}"
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    server.close()


def test_all_that_leaves_arrives_and_twice_only_what_nobody_can_know_of(tmp_path, sink):
    chance = random.Random(SEED)
    elsewhere, smarthost = sink
    more = "[spikes]\nenabled = false\n[allowance]\nexternal = 1000000\n"
    program = demo(
        tmp_path, smarthost=smarthost, more=more, submission="messages_per_minute_of_user = 100000\nrecipients_per_minute_of_user = 100000"
    )
    with running(program):
        ready = program.ready
        ready.workmail().register_mail_domain(OrganizationId=ready.organization_id, DomainName="own.test")
        author = hire(ready, "author", "own.test")
        recipients = [f"somebody@far{number}.test" for number in range(DOMAINS)]
        with smtplib.SMTP_SSL(*ready.submissions, context=ready.tls(), timeout=60) as client:
            client.login(author.email, author.password)
            for number in range(LETTERS):
                client.sendmail(author.email, recipients, f"From: {author.email}\r\nSubject: {number}\r\n\r\nx\r\n")
        under_way = 0
        for _ in range(KILLS):
            before = len(elsewhere.taken)
            time.sleep(chance.uniform(0.02, 0.4))
            program.kill()
            under_way += before < LETTERS * DOMAINS
            program.launch()
            program.await_ready()
        end = time.monotonic() + 120
        while len(elsewhere.taken) < LETTERS * DOMAINS:
            assert time.monotonic() < end, f"of {LETTERS * DOMAINS} copies {len(elsewhere.taken)} have arrived"
            time.sleep(0.2)
        assert program.stop() < 5
    again = {copy: takings for copy, takings in elsewhere.taken.items() if len(takings) > 1}
    assert {copy for copy, takings in again.items() if any(taking.told for taking in takings[:-1])} == set()
    print(f"{KILLS} kills, {under_way} of them while mail left; {len(elsewhere.taken)} copies arrived, {len(again)} of them twice")
    assert under_way >= KILLS // 2
