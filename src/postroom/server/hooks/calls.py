"""Calls hooks: posts an event over HTTP, signed as Standard Webhooks have it, or invokes a function of AWS Lambda.

No redirect is followed, certificates are the host's, and time and size of an answer are bounded. Whoever calls waits on a thread; what is
still under way when its time is over is cut off.

Standard Webhooks: signature scheme
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from postroom.aws.clients import Aws
from postroom.aws.functions import Functions
from postroom.formats.flow_event import ANSWER_BYTES
from postroom.mailflow.hooks import Call, Unanswered
from postroom.model.errors import TryLater
from postroom.policy import flow_rules
from postroom.server.hooks import settings as hook_settings
from postroom.server.hooks.settings import Settings

SECONDS = 15.0
"""How long a call may take (WorkMail administrator guide: Lambda, limits)."""


class Calls:
    """Calls any hook that a rule may name; raises ValueError or OSError when a secret or an authority cannot be read."""

    def __init__(self, hooks: Mapping[str, Settings], aws: Aws | None, now: Callable[[], float], seconds: float = SECONDS) -> None:
        self._posts = {name: _Post(part, now, seconds) for name, part in hooks.items() if part.url}
        self._functions = {name: part.function for name, part in hooks.items() if part.function}
        self._aws = Functions(aws) if aws else None
        self._seconds = seconds

    def __call__(self, call: Call) -> bytes:
        """Call the hook of a rule and give what it answers; raises `Unanswered`."""
        target = call.rule.target
        post = self._posts.get(target)
        if post is not None:
            return post.send(call.event(), call.invocation)
        function = target if flow_rules.FUNCTION.match(target) else self._functions.get(target)
        if function is None:
            raise Unanswered(f"There is no hook {target}")
        if self._aws is None:
            raise Unanswered("This server has no access to AWS Lambda")
        try:
            return self._aws.invoke(function, call.event(), waits=call.rule.waits, seconds=self._seconds, most=ANSWER_BYTES)
        except TryLater as error:
            raise Unanswered(error.text) from error


class _Post:
    """Posts to one address."""

    def __init__(self, part: Settings, now: Callable[[], float], seconds: float) -> None:
        url = urlsplit(part.url)
        self._host, self._port = url.hostname or "", url.port
        self._path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._tls = ssl.create_default_context(cafile=part.ca or None) if url.scheme == "https" else None
        self._key = hook_settings.key(part)
        self._now = now
        self._seconds = seconds

    def send(self, event: bytes, id: str) -> bytes:
        """Post an event under the id of its call; give the answer, at most one octet more than it may have. Raises `Unanswered`."""
        connection = self._connection()
        ending = threading.Timer(self._seconds, connection.cut)
        ending.daemon = True
        ending.start()
        try:
            connection.request("POST", self._path, event, self._headers(event, id))
            answer = connection.getresponse()
            body = answer.read(ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException, ValueError) as error:
            late = f"it took more than {self._seconds:g} seconds"
            cut = connection.over or isinstance(error, TimeoutError)
            raise Unanswered(f"The hook does not answer: {late if cut else _reason(error)}") from error
        finally:
            ending.cancel()
            connection.close()
        if connection.over:
            raise Unanswered(f"The hook does not answer: it took more than {self._seconds:g} seconds")
        if not 200 <= answer.status < 300:
            raise Unanswered(f"The hook answers {answer.status} {' '.join(answer.reason.split())[:100]}")
        return body

    def _connection(self) -> _Plain:
        return _Secure(self._host, self._port, self._tls, self._seconds) if self._tls else _Plain(self._host, self._port, self._seconds)

    def _headers(self, event: bytes, id: str) -> dict[str, str]:
        at = str(int(self._now()))
        signature = hmac.new(self._key, f"{id}.{at}.".encode() + event, hashlib.sha256).digest()
        return {
            "Content-Type": "application/json",
            "User-Agent": "Postroom",
            "webhook-id": id,
            "webhook-timestamp": at,
            "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
        }


class _Plain(http.client.HTTPConnection):
    """A connection that another thread can cut."""

    over = False

    def __init__(self, host: str, port: int | None, seconds: float) -> None:
        super().__init__(host, port, timeout=seconds)

    def connect(self) -> None:
        """Connect, unless it is too late."""
        super().connect()
        if self.over:
            raise TimeoutError

    def cut(self) -> None:
        """End it, whatever it waits for."""
        self.over = True
        if self.sock is not None:
            with suppress(OSError):  # it has ended by itself
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class _Secure(_Plain):
    """The same under TLS."""

    default_port = http.client.HTTPS_PORT

    def __init__(self, host: str, port: int | None, tls: ssl.SSLContext, seconds: float) -> None:
        super().__init__(host, port, seconds)
        self._tls = tls

    def connect(self) -> None:
        """Connect and speak TLS."""
        super().connect()
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock.do_handshake()


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    return str(error) or type(error).__name__
