"""What SMTP answers and what is told of it, by smtplib over a real socket."""

import asyncio
import smtplib
from typing import Any

import pytest

from postroom.storage.engine import Store
from tests.people import People, inbox
from tests.protocols.smtp.conftest import Listen

BIG = "From: <s@far.test>\r\nSubject: {}\r\n\r\n" + ("x" * 70 + "\r\n") * 9000


async def test_a_letter_refused_for_a_full_mailbox_is_told_of(store: Store, people: People, listen: Listen) -> None:
    told: list[Any] = []
    store.notifier.record(told.extend)
    server = await listen()

    def deliver(subject: str) -> int:
        """Deliver without saying beforehand how large it is."""
        with smtplib.SMTP(server.host, server.port) as client:
            client.ehlo()
            client.mail("s@far.test")
            client.rcpt("carol@example.test")
            return client.data(BIG.format(subject))[0]

    assert await asyncio.to_thread(deliver, "first") == 250
    assert await asyncio.to_thread(deliver, "second") == 552
    assert [event.name for event in told] == [
        "ORGANIZATION_EMAIL_RECEIVED",
        "MAILBOX_EMAIL_DELIVERED",
        "ORGANIZATION_EMAIL_RECEIVED",
        "INCOMING_EMAIL_BOUNCED",
    ]
    assert [event.fields["subject"] for event in told[::2]] == ["first", "second"]
    assert told[2].trace == told[3].trace != told[0].trace
    assert told[3].fields["bouncedRecipient"]["emailAddress"] == "carol@example.test"
    assert len(inbox(store, 1, people.ids["carol"])) == 1


async def test_a_recipient_refused_for_a_full_mailbox_is_told_of(store: Store, people: People, listen: Listen) -> None:
    told: list[Any] = []
    store.notifier.record(told.extend)
    server = await listen()

    def deliver() -> None:
        with smtplib.SMTP(server.host, server.port) as client:
            client.sendmail("s@far.test", ["carol@example.test"], BIG.format("hello"))

    await asyncio.to_thread(deliver)
    told.clear()
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await asyncio.to_thread(deliver)
    assert [(event.name, event.fields["bouncedRecipient"]["status"]) for event in told] == [("INCOMING_EMAIL_BOUNCED", "5.2.2")]
