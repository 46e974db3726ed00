"""A private Postfix: its own configuration, queue and mailboxes on a loopback address of its own.

Every instance listens on port 25 of some 127.x.y.z, so that several run side by side and an MX record can name each.  Its people are
virtual mailboxes kept as Maildir.  `ghost@` is accepted at RCPT and bounced afterwards, the way a forwarding address gone stale is.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.interop import isolation
from tests.interop.peer import NOBODY, Peer, loopback

LIBEXEC = Path("/usr/lib/postfix/sbin")

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/state
command_directory = /usr/sbin
daemon_directory = {libexec}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log
maillog_file_prefixes = /
myhostname = mx.{domain}
mydomain = {domain}
myorigin = {domain}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
biff = no
message_size_limit = 50000000
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = texthash:{folder}/people
virtual_alias_maps = inline:{{ {{ghost@{domain}=gone@{domain}}} }}
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 100
transport_maps = texthash:{folder}/transports
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_client_connection_count_limit = 0
smtpd_tls_security_level = {smtpd_tls}
smtpd_tls_cert_file = {folder}/certificate.pem
smtpd_tls_key_file = {folder}/key.pem
smtp_tls_security_level = may
smtp_tls_loglevel = 1
smtpd_tls_loglevel = 1
minimal_backoff_time = 2s
queue_run_delay = 2s
"""

MASTER = """
{address}:smtp inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(Peer):
    """One instance; a context manager that starts it and stops it."""

    def __init__(
        self,
        domain: str,
        people: Sequence[str],
        *,
        transports: Mapping[str, str] | None = None,
        certificate: tuple[Path, Path] | None = None,
        settings: Mapping[str, str] | None = None,
        services: str = "",
        resolver: str = "",
    ) -> None:
        # not tmp_path: Postfix's own user must be able to walk into it
        self.folder = Path(tempfile.mkdtemp(prefix="postfix-"))
        self.domain = domain
        self.resolver = resolver
        self.address = loopback()
        self.folder.chmod(0o755)
        for name in ("queue", "state", "mail", "configuration"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "state", "postfix")
        shutil.chown(self.folder / "mail", NOBODY, NOBODY)
        for name, path in zip(("certificate.pem", "key.pem"), certificate or (), strict=False):
            shutil.copy(path, self.folder / name)
        self._write(
            "configuration/main.cf",
            MAIN.format(
                folder=self.folder,
                libexec=LIBEXEC,
                domain=domain,
                address=self.address,
                smtpd_tls="may" if certificate else "none",
            )
            + "".join(f"{name} = {value}\n" for name, value in (settings or {}).items()),
        )
        self._write("configuration/master.cf", (MASTER + services).format(folder=self.folder, address=self.address))
        self._write("people", "".join(f"{name}@{domain} {name}/\n" for name in people))
        self.route(transports or {})

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def _command(self, *arguments: str) -> None:
        subprocess.run(arguments, check=True, capture_output=True, timeout=60)

    def route(self, transports: Mapping[str, str]) -> None:
        """Say by which way each domain's mail leaves (`transport(5)`)."""
        self._write("transports", "".join(f"{domain} {way}\n" for domain, way in transports.items()))

    def await_log(self, text: str, start: int = 0) -> None:
        """Wait until the log has a text after so many characters."""
        self._await(lambda: text in self.log()[start:], f"nothing of {text}")

    def __enter__(self) -> Postfix:
        try:
            start = ["postfix", "-c", str(self.folder / "configuration"), "start"]
            if self.resolver:  # postfix compares its own copy with the system's, which this view replaces for all of it
                start = isolation.command(start, self.folder, files=isolation.resolver(self.resolver))
            self._command(*start)
            self._await(lambda: self._listens(), "Postfix does not listen")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # an abort, with no goodbye to clients, takes every process of the instance along and waits for the master's end
        with suppress(subprocess.SubprocessError):
            self._command("postfix", "-c", str(self.folder / "configuration"), "abort")
        shutil.rmtree(self.folder, ignore_errors=True)
