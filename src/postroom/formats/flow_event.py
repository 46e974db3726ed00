"""What a hook of a flow rule is told of a letter, and what it answers: JSON, as WorkMail speaks to functions of AWS Lambda.

WorkMail administrator guide: configuring AWS Lambda for WorkMail
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

VERSION = "2018-10-10"
SUBJECT_LETTERS = 256
EVENT_BYTES = 128 * 1024
"""The largest event; recipients beyond it are left out."""
ANSWER_BYTES = 256 * 1024
MOST_ACTIONS = 10
MOST_RECIPIENTS = 500
_ROOM = 4096
Type = Literal["DEFAULT", "DROP", "BOUNCE", "MOVE_TO_JUNK", "BYPASS_SPAM_CHECK"]


class Parameters(msgspec.Struct, rename="camel"):
    """What an action may be told."""

    bounce_message: str = ""


class Action(msgspec.Struct):
    """What is to be done."""

    type: Type
    parameters: Parameters | None = None


class Order(msgspec.Struct, rename="camel"):
    """An action and those for whom it is; some functions write `allRecipients` as a text."""

    action: Action
    recipients: list[str] | None = None
    all_recipients: bool | str | None = None

    @property
    def for_all(self) -> bool:
        """Say whether it is for all that no order before it names."""
        return self.all_recipients is True or str(self.all_recipients).casefold() == "true"


class Answer(msgspec.Struct):
    """What a hook answers."""

    actions: list[Order]


def write(*, author: str, sender: str, subject: str, recipients: Sequence[str], message: str, invocation: str, inbound: bool) -> bytes:
    """Write the event of a letter; `sender` is who has sent it on behalf of the author, '' for nobody else."""
    event: dict[str, Any] = {
        "summaryVersion": VERSION,
        "envelope": {"mailFrom": {"address": author}, "recipients": []},
        "subject": subject[:SUBJECT_LETTERS],
        "messageId": message,
        "invocationId": invocation,
        "flowDirection": "INBOUND" if inbound else "OUTBOUND",
        "truncated": False,
    }
    if sender and sender.casefold() != author.casefold():
        event["sender"] = {"address": sender}
    named, room = [{"address": address} for address in recipients], EVENT_BYTES - _ROOM - len(msgspec.json.encode(event))
    kept = _fitting(named, room)
    event["envelope"]["recipients"], event["truncated"] = kept, len(kept) < len(named)
    return msgspec.json.encode(event)


def read(body: bytes) -> Answer:
    """Read an answer; raises ValueError with the reason."""
    if len(body) > ANSWER_BYTES:
        raise ValueError(f"it has more than {ANSWER_BYTES} octets")
    try:
        return msgspec.json.decode(body, type=Answer)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


def _fitting(named: Sequence[dict[str, str]], room: int) -> list[dict[str, str]]:
    """Give as many of the first recipients as there is room for, in octets."""
    for at, one in enumerate(named):
        room -= len(msgspec.json.encode(one)) + 1
        if room < 0:
            return list(named[:at])
    return list(named)
