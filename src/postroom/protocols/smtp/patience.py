"""How much of a client's idling and erring is put up with; a message delivered makes up for all of it."""

from postroom.protocols.smtp.grammar import Command, Helo, Help, Noop, Reply, Rset, Vrfy
from postroom.protocols.smtp.settings import Settings


class Patience:
    """What counts against one client."""

    __slots__ = ("_delivered", "_errors", "_idle_commands", "_settings", "_surplus")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._delivered = 0
        self._idle_commands = 0
        self._errors = 0
        self._surplus = 0  # recipients beyond what one message may have

    def idled(self, command: Command) -> bool:
        """Count a command that brings no mail nearer; say whether it is one too many."""
        if isinstance(command, Helo | Help | Noop | Rset | Vrfy):
            self._idle_commands += 1
        return self._idle_commands > self._settings.maximum_idle_commands

    def erred(self, reply: Reply) -> bool:
        """Count a refusal; say whether it is one too many.

        One recipient too many is not held against the client until as many again have come: who is told so for each is to send
        the message to the others (RFC 5321 §4.5.3.1.10).
        """
        if reply.status == "4.5.3":
            self._surplus += 1
        if reply.status != "4.5.3" or self._surplus > self._settings.maximum_recipients:
            self._errors += 1
        return self._errors > self._settings.maximum_errors

    def note_delivered(self, count: int) -> None:
        """Forget all that counted against the client if there are more messages delivered than before."""
        if count != self._delivered:
            self._delivered, self._errors, self._idle_commands, self._surplus = count, 0, 0, 0
