"""Debian's Postfix as the peer for receiving mail: a private instance handing every letter to Dovecot by LMTP.

Its queue is as durable as Debian ships it: the queue file is synced before 250 is said, and Dovecot syncs again when it saves.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench import dovecot, programs
from tests.interop import isolation

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file_prefixes = {folder}
maillog_file = {folder}/postfix.log
myhostname = mx.{domain}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = static:known
virtual_transport = lmtp:inet:{host}:{port}
smtpd_recipient_restrictions = reject_unauth_destination
"""

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
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
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@contextlib.contextmanager
def running(
    folder: Path, lmtp: programs.Address, *, settings: Mapping[str, str] | None = None, services: str = "", resolver: str = ""
) -> Iterator[programs.Address]:
    """Run a private Postfix that delivers to `lmtp`; give the address of its SMTP port.

    `settings` replace those of main.cf, `services` are more lines of master.cf; `resolver` is the name server it asks in place of
    the machine's.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    address = ("127.0.0.1", programs.free_port())
    _write(folder, address, lmtp, settings or {}, services)
    _control(folder, "start", resolver)
    try:
        programs.await_port(address, None, folder / "postfix.log")
        yield address
    finally:
        _control(folder, "stop")


def version() -> str:
    """Give the version of the installed Postfix."""
    return subprocess.run(["/usr/sbin/postconf", "-h", "mail_version"], capture_output=True, text=True, check=True).stdout.strip()


def _write(folder: Path, address: programs.Address, lmtp: programs.Address, settings: Mapping[str, str], services: str) -> None:
    (folder / "queue").mkdir()
    (folder / "data").mkdir()
    shutil.chown(folder / "data", "postfix")
    lines = MAIN.format(folder=folder, domain=dovecot.DOMAIN, host=lmtp[0], port=lmtp[1]).splitlines()
    main = dict([line.split(" =", 1) for line in lines]) | {name: f" {value}" for name, value in settings.items()}
    (folder / "main.cf").write_text("".join(f"{name} ={value}\n" for name, value in main.items()))
    (folder / "master.cf").write_text(MASTER.format(port=address[1]) + services)


def _control(folder: Path, action: str, resolver: str = "") -> None:
    """Ask Postfix to start or stop; raise BenchError with its own words."""
    command = ["/usr/sbin/postfix", "-c", str(folder), action]
    if resolver:
        command = isolation.command(command, folder, files=isolation.resolver(resolver))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise programs.BenchError(f"postfix {action}: {done.stderr.strip()}\n{programs.tail(folder / 'postfix.log')}")
