"""HTTP to an authority: over TLS alone, every answer bounded in size and time."""

import io
import threading
import time
from typing import Any

import requests
from acme import client, messages

ANSWER_OCTETS = 1 << 20
SECONDS = 20.0
"""How long an authority may say nothing."""
REDIRECTS = 3
PIECE = 16_384
NONCES = 4
"""How often two nonces in a row may be refused."""


class Interrupted(Exception):
    """The program ends."""


class Network(client.ClientNetwork):
    """Signed requests; a nonce that an authority does not take is replaced again and again, not once (RFC 8555 §6.5)."""

    def post(self, *arguments: Any, **options: Any) -> requests.Response:
        """Send a signed request; raises what `acme` raises."""
        for _ in range(NONCES):
            try:
                return super().post(*arguments, **options)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*arguments, **options)


class Session(requests.Session):
    """A session until a deadline, by the monotonic clock; `pause` is what an authority has asked to wait after a refusal, in seconds."""

    def __init__(self, ended: threading.Event, deadline: float) -> None:
        super().__init__()
        self.max_redirects = REDIRECTS
        self.pause = 0.0
        self._ended = ended
        self._deadline = deadline

    def request(self, method: str, url: Any, *arguments: Any, **options: Any) -> requests.Response:
        """Ask, and take the whole answer; raises requests.RequestException, Interrupted."""
        if self._ended.is_set():
            raise Interrupted
        if time.monotonic() > self._deadline:
            raise requests.exceptions.Timeout("it has taken too long in all")
        if not str(url).startswith("https://"):
            raise requests.exceptions.InvalidURL(f"{str(url)[:200]} is not https")
        with super().request(method, url, *arguments, **{**options, "stream": True}) as answer:
            made = _taken(answer, self._content(answer))
        if made.status_code in (429, 503):
            self.pause = _seconds(answer.headers.get("Retry-After", ""))
        return made

    def _content(self, answer: requests.Response) -> bytes:
        taken = bytearray()
        for piece in answer.iter_content(PIECE):
            taken += piece
            if len(taken) > ANSWER_OCTETS:
                raise requests.exceptions.InvalidSchema(f"an answer of more than {ANSWER_OCTETS} octets")
            if time.monotonic() > self._deadline:
                raise requests.exceptions.ReadTimeout("an answer took too long")
        return bytes(taken)


def _taken(answer: requests.Response, content: bytes) -> requests.Response:
    """Give an answer that has been read."""
    made = requests.Response()
    made.status_code, made.reason, made.url = answer.status_code, answer.reason, answer.url
    made.headers, made.encoding, made.request = answer.headers, answer.encoding, answer.request
    made.raw = io.BytesIO(content)
    return made


def _seconds(text: str) -> float:
    """Read a Retry-After in seconds; a date is taken for nothing, as the pauses of `pacing` are long enough."""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 0.0
