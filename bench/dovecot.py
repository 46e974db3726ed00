"""Debian's Dovecot as the peer for IMAP and for delivery: a private instance, sdbox, everything under one folder.

`mail_fsync=always` is the rule nearest to ours (an answer comes after the fsync); `optimized`, Dovecot's default, leaves some of them out.
Passwords are checked against a salted SHA-512, which costs next to nothing: the peer's best case.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import certificate, programs

PASSWORD = "Bench-mark-4711"
DOMAIN = "bench.test"

TEMPLATE = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
listen = 127.0.0.1
protocols = imap lmtp
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
disable_plaintext_auth = yes
auth_mechanisms = plain
postmaster_address = postmaster@{domain}
hostname = mail.{domain}
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={folder}/mail/%u allow_all_users=yes
}}
mail_location = sdbox:~/sdbox
mail_fsync = {fsync}
first_valid_uid = 1
mail_max_userip_connections = 3000
default_client_limit = 8000
default_process_limit = 3000
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 3000
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Dovecot:
    """A running instance: where it listens and its master process."""

    imap: programs.Address
    imaps: programs.Address
    lmtp: programs.Address
    process: int

    def user(self, number: int) -> str:
        """Name the account with this number; every account has PASSWORD."""
        return f"user{number:04d}@{DOMAIN}"


@contextlib.contextmanager
def running(folder: Path, *, fsync: str = "always", accounts: int = 200) -> Iterator[Dovecot]:
    """Run a private Dovecot with its data in `folder`."""
    folder.mkdir(mode=0o755, parents=True)
    ports = {name: programs.free_port() for name in ("imap", "imaps", "lmtp")}
    configuration = _write(folder, fsync, ports, accounts)
    log = folder / "dovecot.log"
    process = programs.start(["/usr/sbin/dovecot", "-F", "-c", str(configuration)], folder / "start.log")
    try:
        for port in ports.values():
            programs.await_port(("127.0.0.1", port), process, log)
        imap, imaps, lmtp = (("127.0.0.1", ports[name]) for name in ("imap", "imaps", "lmtp"))
        yield Dovecot(imap, imaps, lmtp, process.pid)
    finally:
        programs.stop(process)


def version() -> str:
    """Give the version of the installed Dovecot."""
    return subprocess.run(["/usr/sbin/dovecot", "--version"], capture_output=True, text=True, check=True).stdout.split()[0]


def _write(folder: Path, fsync: str, ports: dict[str, int], accounts: int) -> Path:
    """Write configuration, certificate and accounts; give the configuration's path."""
    certificate.write(folder / "cert.pem", folder / "key.pem")
    (folder / "mail").mkdir()
    shutil.chown(folder / "mail", "mail", "mail")
    (folder / "users").write_text("".join(f"user{number:04d}@{DOMAIN}:{_hash()}\n" for number in range(accounts)))
    configuration = folder / "dovecot.conf"
    configuration.write_text(TEMPLATE.format(folder=folder, fsync=fsync, domain=DOMAIN, **ports))
    return configuration


def _hash() -> str:
    salt = os.urandom(8)
    return "{SSHA512}" + base64.b64encode(hashlib.sha512(PASSWORD.encode() + salt).digest() + salt).decode()
