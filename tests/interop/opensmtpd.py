"""A private OpenSMTPD: its own configuration, queue and Maildirs on a loopback address of its own; whom it does not know it refuses.

Its queue, its chroot and its programs stand in fixed places, which are its own in the view it runs in.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.interop import isolation, unpacked
from tests.interop.peer import NOBODY, Peer, loopback

CONFIGURATION = """
{pki}
table people {{ {people} }}
table staff {{ {staff} }}
listen on {address} port 25 {tls} hostname mx.{domain}
action "local" maildir "{folder}/mail/%{{rcpt.user}}" virtual <people>
action "out" relay helo mx.{domain}
match from any for domain "{domain}" rcpt-to <staff> action "local"
match from any for domain "{domain}" reject
match from any for any action "out"
"""
SPOOL = """
for name in purge temporary incoming queue corrupt; do mkdir -m 700 /var/spool/smtpd/$name; chown opensmtpq /var/spool/smtpd/$name; done
chmod 711 /var/spool/smtpd
mkdir -m 770 /var/spool/smtpd/offline; chgrp opensmtpq /var/spool/smtpd/offline
exec "$@"
"""


class OpenSmtpd(Peer):
    """One instance; a context manager that starts it and stops it."""

    def __init__(
        self, domain: str, people: Sequence[str], *, resolver: str, certificate: tuple[Path, Path] | None = None, required_tls: bool = False
    ) -> None:
        self.program = unpacked.need("usr/sbin/smtpd", "opensmtpd")
        self.folder = Path(tempfile.mkdtemp(prefix="opensmtpd-"))
        self.domain = domain
        self.address = loopback()
        self.resolver = resolver
        self.folder.chmod(0o755)
        (self.folder / "mail").mkdir()
        shutil.chown(self.folder / "mail", NOBODY, NOBODY)
        for name, path in zip(("certificate.pem", "key.pem"), certificate or (), strict=False):
            (self.folder / name).write_bytes(path.read_bytes())
            (self.folder / name).chmod(0o600)
        pki = f'pki server cert "{self.folder}/certificate.pem"\npki server key "{self.folder}/key.pem"' if certificate else ""
        (self.folder / "smtpd.conf").write_text(
            CONFIGURATION.format(
                folder=self.folder,
                domain=domain,
                address=self.address,
                pki=pki,
                tls=f"tls{'-require' if required_tls else ''} pki server" if certificate else "",
                people=", ".join(f'"{name}" = "nobody"' for name in people),
                staff=", ".join(f'"{name}@{domain}"' for name in people),
            )
        )

    def __enter__(self) -> OpenSmtpd:
        files = isolation.resolver(self.resolver) | isolation.with_users(["opensmtpd", "opensmtpq"])
        folders = {
            "/run": None,
            "/usr/libexec": unpacked.PEERS / "usr/libexec",
            "/var/spool": None,
            "/var/spool/smtpd": self._folder("spool"),
            "/var/lib": None,
            "/var/lib/opensmtpd/empty": self._folder("empty"),
        }
        start = ["/bin/sh", "-ec", SPOOL, "smtpd", self.program, "-d", "-f", self.folder / "smtpd.conf"]
        with (self.folder / "log").open("wb") as log:
            self._daemon = subprocess.Popen(
                isolation.command(start, self.folder, files=files, folders=folders),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._await(self._listens, "OpenSMTPD does not listen")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    def __exit__(self, *_: object) -> None:
        self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)
