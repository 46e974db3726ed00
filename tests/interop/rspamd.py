"""A private rspamd with a Redis of its own: asks one name server, knows no lists of others, and learns at once what it is taught."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.interop.tools import need
from tests.ports import free_port

PASSWORD = "teach-me"
AWAY = (
    *("asn", "bimi", "dcc", "fuzzy_check", "greylist", "history_redis", "multimap", "mx_check", "neural", "once_received", "p0f", "phishing"),
    *("ratelimit", "rbl", "replies", "reputation", "rspamd_update", "surbl", "url_redirector"),
)
"""Modules that would ask others, or that judge a letter by those before."""
SUFFIXES = "com\nnet\norg\ntest\nexample\nco.uk\n"
"""Instead of all public suffixes there are, over which it thinks for a minute."""
FILES = {
    "options.inc": 'dns {{ nameserver = ["{resolver}"]; timeout = 2s; retransmits = 2; }}\nlocal_addrs = ["127.0.0.0/8"];\nurl_tld = "{folder}/suffixes";\n'
    'disable_hyperscan = true;\ndynamic_conf = "{folder}/dynamic";\ncontrol_socket = "{folder}/control mode=0600";\nhistory_file = "{folder}/history";\n',
    "worker-normal.inc": 'bind_socket = "127.0.0.1:{port}";\ncount = 1;\n',
    "worker-controller.inc": 'bind_socket = "127.0.0.1:{controller}";\ncount = 1;\npassword = "{password}";\nenable_password = "{password}";\nsecure_ip = "192.0.2.1";\n',
    "worker-proxy.inc": "enabled = false;\n",
    "redis.conf": 'servers = "127.0.0.1:{redis}";\n',
    "classifier-bayes.conf": "min_learns = 4;\nmin_tokens = 4;\n",
    "logging.inc": 'level = "warning";\n',
    "dmarc.conf": "reporting {{ enabled = false; }}\n",
}


class Rspamd:
    """One instance; a context manager that starts it and stops it. `dmarc` is what its module of that name is told."""

    def __init__(self, folder: Path, *, resolver: str = "127.0.0.1:1", dmarc: str = "") -> None:
        self.program, self.server = need("rspamd", "rspamd"), need("redis-server", "redis-server")
        self.folder = folder
        self.port, self.controller, self.redis = free_port(), free_port(), free_port()
        settings = folder / "local.d"
        settings.mkdir(parents=True)
        for name, text in FILES.items():
            told = text.format(folder=folder, resolver=resolver, port=self.port, controller=self.controller, redis=self.redis, password=PASSWORD)
            (settings / name).write_text(told)
        if dmarc:
            (settings / "dmarc.conf").write_text(dmarc)
        for name in AWAY:
            (settings / f"{name}.conf").write_text("enabled = false;\n")
        (folder / "suffixes").write_text(SUFFIXES)
        self._started: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Rspamd:
        with (self.folder / "output").open("ab") as output:
            redis = [self.server, "--port", str(self.redis), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
            self._started.append(subprocess.Popen(redis, stdout=output, stderr=output))
            places = dict.fromkeys(("LOCAL_CONFDIR", "DBDIR", "RUNDIR", "LOGDIR"), self.folder)
            command = [self.program, "-f", "-i", "-c", "/etc/rspamd/rspamd.conf", *(f"--var={name}={place}" for name, place in places.items())]
            self._started.append(subprocess.Popen(command, stdout=output, stderr=output))
        try:
            for port in (self.redis, self.port, self.controller):
                self._await(port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._started.clear()

    def _await(self, port: int) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for process in self._started:
                assert process.poll() is None, (self.folder / "output").read_text()[-3000:]
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)
        raise AssertionError("rspamd does not listen:\n" + (self.folder / "output").read_text()[-3000:])

    def check(self, raw: bytes, **about: str) -> dict[str, Any]:
        """Return what it says of a letter; `about` are headers of /checkv2."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/checkv2", raw, {name.replace("_", "-"): value for name, value in about.items()})
            found: dict[str, Any] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()

    def learned(self) -> dict[str, int]:
        """Return how many letters it has been taught: `all` of them by its controller, and as it keeps them in Redis by what they are."""
        connection = HTTPConnection("127.0.0.1", self.controller, timeout=30)
        try:
            connection.request("GET", "/stat", headers={"Password": PASSWORD})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        asked = [need("redis-cli", "redis-tools"), "-p", str(self.redis), "HMGET", "RS", "learns_spam", "learns_ham"]
        spam, ham = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split("\n")[:2]
        return {"all": answer["learned"], "spam": int(spam or 0), "ham": int(ham or 0)}
