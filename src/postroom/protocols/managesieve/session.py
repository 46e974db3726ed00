"""What one client has, and what its commands ask of the loop.

A command is a generator: it yields what it needs done, one of the asks below, and returns the end of its answer.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from postroom.mailflow.sieve.scripts import Limits
from postroom.model.actors import Actor, Client, Credentials
from postroom.protocols.managesieve.grammar import Done
from postroom.protocols.managesieve.settings import Settings


@dataclass(slots=True)
class Session:
    """One client's connection, as the commands see it."""

    settings: Settings
    client: Client
    tls: bool
    actor: Actor | None = None
    failures: int = 0
    leaving: bool = False

    @property
    def may_start_tls(self) -> bool:
        """Say whether the connection can be encrypted."""
        return self.tls and not self.client.secure

    @property
    def may_sign_in(self) -> bool:
        """Say whether a password may be shown."""
        return self.client.secure or self.settings.clear_sign_in

    @property
    def limits(self) -> Limits:
        """What the scripts of a mailbox may be."""
        return Limits(self.settings.maximum_scripts, self.settings.maximum_script)


class Read:
    """Run `function(tx, *args)` in a snapshot of the organization."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function = function
        self.args = args


class Write:
    """Run `function(tx, *args)` in a transaction; answered after the fsync."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function = function
        self.args = args


class Work:
    """Run `function(*args)` on a thread."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function = function
        self.args = args


@dataclass(frozen=True, slots=True)
class SignIn:
    """Find out who this is; answered with an `Actor`."""

    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Challenge:
    """Write a challenge; answered with the client's next words."""

    text: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """Write the answer, forget what has come in, and go on encrypted."""

    answer: bytes


Step = bytes | Read | Write | Work | SignIn | Challenge | StartTls
Steps = Generator[Step, Any, Done]
