"""The octets of the message that is being received, by DATA or by BDAT: into the spool, or counted and thrown away.

A message that is refused while it comes is read to its end all the same, for where it ends is where commands begin
again. Who goes on for twice the largest size is not listened to any longer.
"""

from typing import Any

from postroom.protocols.smtp.commands import bdat
from postroom.protocols.smtp.connection import Connection
from postroom.protocols.smtp.grammar import Bdat, Reply
from postroom.protocols.smtp.session import Conversation, Session
from postroom.protocols.smtp.spool import NoRoom


class Intake:
    """What is being received on one connection."""

    __slots__ = ("_chunk", "_collecting", "_framing", "_maximum", "_session", "octets")

    def __init__(self, session: Session, framing: Connection) -> None:
        self._session = session
        self._framing = framing
        self._maximum = session.settings.maximum_message
        self._collecting: Conversation | None = None
        self._chunk: tuple[Bdat, Reply | None] | None = None
        self.octets = 0

    def collect(self, conversation: Conversation) -> Reply | None:
        """Begin to read content for a command; refuse it if some came before it was asked for (RFC 2920 §3.1)."""
        if self._framing.pending:
            conversation.close()
            return Reply(521, "5.5.0", "Content before 354")
        self.octets = 0
        self._collecting = conversation
        self._framing.expect_content()
        return None

    def begin_chunk(self, command: Bdat) -> Reply | None:
        """Begin to read a chunk, welcome or not; give a refusal after which nothing more can be read."""
        if command.size > 2 * self._maximum:
            return self._too_large()
        refusal = bdat.refuse(self._session)
        fresh = refusal is not None or bdat.begin(self._session)
        if fresh:
            self.octets = 0
        self._chunk = (command, refusal)
        self._framing.expect_chunk(command.size, fresh=fresh)
        return None

    def take(self, octets: bytes) -> Reply | None:
        """Put octets into the spool; give a refusal after which nothing more can be read."""
        self.octets += len(octets)
        transaction = self._session.transaction
        if self.octets > 2 * self._maximum:
            return self._too_large()
        if transaction is None or transaction.spool is None or transaction.refusal is not None:
            return None
        if self.octets > self._maximum:
            transaction.spoil(self._too_large())
            return None
        try:
            transaction.spool.write(octets)
        except NoRoom:
            transaction.spoil(Reply(452, "4.3.1", "No room for this message now"))
        return None

    def end(self, fault: str) -> Reply | tuple[Conversation, Any]:
        """Give the answer at the end of content or chunk: a reply, or a command and what it is to be sent."""
        if self._collecting is not None:
            conversation, self._collecting = self._collecting, None
            return conversation, fault
        assert self._chunk is not None
        (command, refusal), self._chunk = self._chunk, None
        if refusal is not None:
            return refusal
        return bdat.bdat(self._session, command, self._framing.final_fault() if command.last else fault), None

    def drop(self) -> None:
        """End the command that waits for content."""
        if self._collecting is not None:
            self._collecting.close()
            self._collecting = None

    def _too_large(self) -> Reply:
        return Reply(552, "5.3.4", f"A message may have {self._maximum} octets")
