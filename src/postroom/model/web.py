"""What the public web door hands to those who answer there, and gets back: requests, answers, routes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """A request that has arrived whole."""

    method: str
    host: str
    """The name that was asked for, in lower case, without a port."""
    path: str
    """Percent-decoded, from the first slash; without the query."""
    query: str = ""
    """As it came, without the question mark."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By names in lower case; of several of one name, the first."""
    body: bytes = b""
    client: str = ""
    """The address of who asks."""
    secure: bool = False
    """Whether it came under TLS."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered; its length and date are added."""

    status: int = 200
    body: bytes = b""
    kind: str = "text/plain; charset=utf-8"
    """The media type of the body."""
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Who answers what: requests for a host and a path.

    `host` is `*` for every name, `mta-sts.*` for every name with that first label, or one whole name. `path` is whole, or ends in `*` and
    stands for everything that begins so. Whoever answers GET answers HEAD too.
    """

    path: str
    handler: Handler
    host: str = "*"
    methods: tuple[str, ...] = ("GET",)
    body_bytes: int = 0
    """The largest body that is taken; more is answered 413."""
    plain: bool = False
    """Whether it is answered without TLS too, instead of being sent to https."""

    def stands_for(self, host: str, path: str) -> bool:
        """Tell whether a request for this host and path is its own."""
        if self.path.endswith("*"):
            fits = path.startswith(self.path[:-1])
        else:
            fits = path == self.path
        if self.host.endswith(".*"):
            return fits and host.startswith(self.host[:-1]) and len(host) >= len(self.host)
        return fits and self.host in ("*", host)
