"""Somebody's program that flow rules call: a web server that checks signatures as Standard Webhooks say, and answers as it is told to.

It also speaks the Invoke API of AWS Lambda, in which the answer is the function's result.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = b"the key of both sides, 24 up"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"

Reply = tuple[int, dict[str, str], bytes]


def answer(*orders: tuple[str, Any]) -> Reply:
    """Answer with actions, each for some recipients, or for all with None."""
    actions = [
        {
            "action": {"type": kind, "parameters": {"bounceMessage": "No, by the hook"}},
            **({"allRecipients": True} if who is None else {"recipients": who}),
        }
        for kind, who in orders
    ]
    return 200, {"Content-Type": "application/json"}, json.dumps({"actions": actions}).encode()


@dataclass
class Hook:
    """What the program got, and what it does next."""

    url: str = ""
    reply: Callable[[dict[str, Any]], Reply] = field(default=lambda event: answer(("DEFAULT", None)))
    events: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    forged: int = 0


@contextmanager
def hook_server(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Hook]:
    """Run such a program."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            event = json.loads(body)
            if "/invocations" not in self.path:
                signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + body
                wanted = "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
                hook.forged += not hmac.compare_digest(wanted, self.headers["webhook-signature"])
                hook.ids.append(self.headers["webhook-id"])
            hook.events.append(event)
            hook.paths.append(self.path)
            status, headers, text = hook.reply(event)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass  # a client that hangs up

    server = Server((host, 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    hook.url = f"{'https' if tls else 'http'}://{host}:{server.server_port}/hook?a=b"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
