"""Letters that leave through Amazon SES, or what answers to the same API.

SES API v2: SendEmail
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from postroom.aws.clients import Aws
from postroom.aws.refusals import Refusal, told
from postroom.model.errors import LetterRefused, PostroomError, TryLater

MOST_RECIPIENTS = 50
"""Recipients of one request."""
_REFUSED = frozenset({"MessageRejected", "BadRequestException", "InvalidParameterValue", "RequestEntityTooLarge", "413"})
"""What is wrong with the letter itself; all else is the account's affair, and may be mended while letters wait."""


class Ses:
    """Sends letters by the API. Asks the network, so never inside a transaction."""

    def __init__(self, aws: Aws, configuration_set: str = "") -> None:
        self._aws = aws
        self._configuration_set = configuration_set

    def send(self, sender: str, recipients: Sequence[str], raw: bytes) -> str:
        """Hand a letter over for at most `MOST_RECIPIENTS`; gives the id that SES knows it by. Bounces go to `sender`, if there is one.

        Raises `LetterRefused` when SES will not have the letter, `TryLater` when it cannot take it now.
        """
        wanted: dict[str, Any] = {"Destination": {"ToAddresses": list(recipients)}, "Content": {"Raw": {"Data": raw}}}
        if sender:
            wanted["FeedbackForwardingEmailAddress"] = sender
        if self._configuration_set:
            wanted["ConfigurationSetName"] = self._configuration_set
        with told("Amazon SES does not take it", _judged):
            given: str = self._aws.client("sesv2").send_email(**wanted)["MessageId"]
        return given


def _judged(refusal: Refusal) -> PostroomError:
    return LetterRefused(refusal.text) if refusal.code in _REFUSED else TryLater(refusal.text)
