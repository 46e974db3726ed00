"""What a command asks of the loop while it is carried out.

A command is a generator: it yields steps, the loop does them and sends back what came of it, and what the generator returns
is the tagged answer. Bytes are written, and while the client does not read, the generator is not resumed. So commands
stay plain code without sockets or waiting, and a client in IDLE costs one suspended generator.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

from postroom.mailbox.access import Mailbox
from postroom.model.actors import Credentials
from postroom.protocols.imap.grammar.answers import Done
from postroom.protocols.imap.grammar.scanner import Literal


class Read:
    """Run `function(tx, *args)` in a snapshot of the organization; gives its result."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function = function
        self.args = args


class Look:
    """Read a few rows by their keys, too quickly for a thread to be worth it; gives `function(tx, *args)`."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function = function
        self.args = args


@dataclass(frozen=True, slots=True)
class WriteWhile:
    """Write these bytes while a read is under way; gives the read's result."""

    data: Iterable[bytes]
    read: Look | Read


class Write:
    """Run `function(tx, *args)` in a write transaction; gives its result once that is durable."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function = function
        self.args = args


@dataclass(frozen=True, slots=True)
class Prepare:
    """Parse and hash a message; gives what `items.append` wants."""

    content: Literal


@dataclass(frozen=True, slots=True)
class SignIn:
    """Find out who this is; gives the `Actor`."""

    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Ask:
    """Write a prompt; gives the client's next line."""

    prompt: bytes


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait; gives the client's next line, or None when the selected folder has changed."""


@dataclass(frozen=True, slots=True)
class Watch:
    """From now on mark the session stale when its mailbox changes, and lift the limits for strangers."""


@dataclass(frozen=True, slots=True)
class Follow:
    """Hear of changes in another's mailbox too, until its folder is left."""

    mailbox: Mailbox


@dataclass(frozen=True, slots=True)
class StartTls:
    """Write the answer, forget what has come in, and go on encrypted."""

    answer: bytes


Step = bytes | Look | Read | WriteWhile | Write | Prepare | SignIn | Ask | Listen | Watch | Follow | StartTls
Steps = Generator[Step, Any, Done]
