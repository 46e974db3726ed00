"""Asks rspamd about a letter, over its HTTP protocol (rspamd: /checkv2), and teaches it (/learnspam, /learnham)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from postroom.mailflow.filters import wire
from postroom.mailflow.filters.opinions import JUNK, Opinion
from postroom.mailflow.filters.settings import Rspamd
from postroom.mailflow.filters.wire import Unavailable

if TYPE_CHECKING:
    from postroom.mailflow.screening import Arrival

NAME = "rspamd"
_MOST_RECIPIENTS = 1000
_LEARNED = frozenset({200})
_NOTHING_LEARNED = frozenset({204, 208, 404})
"""Too little in it to learn from, learned before, no words in it at all."""


class _Answer(msgspec.Struct, frozen=True):
    score: float
    required_score: float
    action: str
    symbols: dict[str, Any] = {}
    messages: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Client:
    """One rspamd."""

    settings: Rspamd

    async def ask(self, arrival: "Arrival", raw: bytes, name: str) -> Opinion:
        """Give its opinion of a letter as it came, from a client of that reverse name; raises `Unavailable`."""
        status, body = _split(await _post(self.settings.address, "/checkv2", _about(arrival, name), raw, self.settings.seconds))
        if status != 200:
            raise Unavailable(f"rspamd answered {status}")
        return read(body, reject=self.settings.reject)

    async def learn(self, raw: bytes, *, spam: bool) -> bool:
        """Teach its controller what a letter is; False when it learns nothing from it, such as what it knows. Raises `Unavailable`."""
        lines = [("Password", self.settings.password)]
        path = "/learnspam" if spam else "/learnham"
        status, body = _split(await _post(self.settings.controller, path, lines, raw, self.settings.seconds))
        if status not in _LEARNED | _NOTHING_LEARNED:
            raise Unavailable(f"rspamd answered {status} {wire.safe(body.decode('utf-8', 'replace'))[:200]}")
        return status in _LEARNED

    async def reach_controller(self) -> None:
        """Find out whether its controller is there and takes the password; raises `Unavailable`."""
        head = f"GET /auth HTTP/1.0\r\nHost: {NAME}\r\nPassword: {wire.safe(self.settings.password)}\r\n\r\n".encode()
        status, _ = _split(await wire.converse(self.settings.controller, [head], self.settings.seconds))
        if status != 200:
            raise Unavailable("its controller takes another password" if status in (401, 403) else f"its controller answered {status}")

    async def reach(self) -> None:
        """Find out whether it is there; raises `Unavailable`."""
        head = f"GET /ping HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode()
        if _split(await wire.converse(self.settings.address, [head], self.settings.seconds))[0] != 200:
            raise Unavailable(f"{self.settings.address} is no rspamd")


def read(body: bytes, *, reject: bool = True) -> Opinion:
    """Read an answer to /checkv2; raises `Unavailable` when it is none.

    What it wants to be rejected or marked is junk, whatever the score; `soft reject` asks for the letter to come again.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise Unavailable(f"rspamd's answer cannot be read: {error}") from None
    score = answer.score / answer.required_score if answer.required_score > 0 else 0.0
    if answer.action in ("reject", "add header", "rewrite subject", "discard", "quarantine"):
        score = max(score, JUNK)
    elif answer.action in ("no action", "greylist"):
        score = min(score, JUNK - 0.001)
    said = answer.messages.get("smtp_message")
    text = wire.safe(said) if isinstance(said, str) else ""
    return Opinion(
        score,
        tuple(wire.safe(symbol)[:64] for symbol in answer.symbols),
        refuse=(text or "This message looks like spam") if answer.action == "reject" and reject else "",
        defer=(text or "Try again later") if answer.action == "soft reject" else "",
    )


def _about(arrival: "Arrival", name: str) -> list[tuple[str, str]]:
    """Say who brings a letter to whom."""
    envelope = arrival.envelope
    lines = [("IP", arrival.address.partition("%")[0]), ("Helo", arrival.hello), ("From", envelope.sender)]
    lines += [("Rcpt", recipient) for recipient in envelope.recipients[:_MOST_RECIPIENTS]]
    if len(envelope.recipients) == 1:
        lines.append(("Deliver-To", envelope.recipients[0]))
    if name:
        lines.append(("Hostname", name))
    return lines


async def _post(address: str, path: str, lines: list[tuple[str, str]], raw: bytes, seconds: float) -> bytes:
    head = [f"POST {path} HTTP/1.0", f"Host: {NAME}", f"Content-Length: {len(raw)}"]
    head += [f"{key}: {wire.safe(value)}" for key, value in lines]
    return await wire.converse(address, ["\r\n".join([*head, "", ""]).encode("utf-8", "replace"), raw], seconds)


def _split(answer: bytes) -> tuple[int, bytes]:
    """Read an HTTP answer that ends with its connection; gives the status and the body. Raises `Unavailable`."""
    head, end, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    words = lines[0].split(b" ", 2)
    if not end or len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not (len(words[1]) == 3 and words[1].isdigit()):
        raise Unavailable("rspamd's answer is no HTTP")
    for line in lines[1:]:
        key, _, value = line.partition(b":")
        length = value.strip()
        if key.strip().lower() == b"content-length" and not (length.isdigit() and len(length) < 10 and int(length) == len(body)):
            raise Unavailable("rspamd's answer has another length than it says")
    return int(words[1]), body
