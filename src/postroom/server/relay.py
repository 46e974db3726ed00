"""Amazon SES as the carrier asks it: each letter on a thread of its own, for which nobody waits when the program ends."""

from collections.abc import Sequence
from functools import partial

from postroom.aws.ses import Ses
from postroom.server import aside


class SesRelay:
    """Hands letters to SES."""

    def __init__(self, ses: Ses) -> None:
        self._ses = ses

    async def send(self, sender: str, recipients: Sequence[str], raw: bytes) -> str:
        """Hand a letter over; gives the id that SES knows it by. Raises `LetterRefused` or `TryLater`."""
        return await aside.run("ses", partial(self._ses.send, sender, recipients, raw))
