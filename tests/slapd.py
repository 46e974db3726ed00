"""Debian's slapd as an ordinary process: its own folder, a loopback port, a certificate of trustme."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from tests.ports import free_port

SUFFIX = "dc=office,dc=test"
ROOT_DN = f"cn=root,{SUFFIX}"
READER_DN = f"cn=reader,{SUFFIX}"
SECRET = "Directory-Reader-5"
PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"

CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {folder}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
security simple_bind=128
require bind
sizelimit size.soft=3 size.hard=soft size.pr=20 size.prtotal=unlimited
idletimeout 60
database mdb
suffix "{suffix}"
rootdn "{root}"
rootpw "{secret}"
directory {folder}/data
maxsize 16777216
limits dn.exact="{root}" size=unlimited
index objectClass,entryUUID eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by * none
"""

TREE = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
dc: office
o: Office

dn: {READER_DN}
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: reader
userPassword: {SECRET}

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups
"""


def person(name: str, password: str, *lines: str, given: str = "", dn: str = "") -> str:
    """Write the entry of a person."""
    first = given or name.title()
    head = [f"dn: {dn or f'uid={name},{PEOPLE}'}", "objectClass: inetOrgPerson", f"uid: {name}", f"cn: {first} Example", "sn: Example"]
    return "\n".join([*head, f"givenName: {first}", f"displayName: {first} Example", f"userPassword: {password}", *lines]) + "\n"


def group(name: str, *members: str) -> str:
    """Write the entry of a group; members are DNs."""
    return "\n".join([f"dn: cn={name},{GROUPS}", "objectClass: groupOfNames", f"cn: {name}", *(f"member: {dn}" for dn in members)]) + "\n"


def dn_of(name: str) -> str:
    """Give the DN of a person."""
    return f"uid={name},{PEOPLE}"


class Slapd:
    """A directory with two empty branches, people and groups."""

    def __init__(self, folder: Path) -> None:
        self.program = _need("slapd", "slapd")
        _need("ldapmodify", "ldap-utils")
        self.folder = folder
        (folder / "data").mkdir(parents=True)
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")  # libldap takes localhost for the name of the machine
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        issued.private_key_pem.write_to_path(str(folder / "server.key"))
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(str(folder / "server.pem"), append=number > 0)
        text = CONFIGURATION.format(folder=folder, suffix=SUFFIX, root=ROOT_DN, reader=READER_DN, secret=SECRET)
        (folder / "slapd.conf").write_text(text)
        self.port, self.plain_port = free_port(), free_port()
        self.url, self.plain_url = f"ldaps://127.0.0.1:{self.port}", f"ldap://127.0.0.1:{self.plain_port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()
        self.add(TREE)

    @property
    def ca(self) -> Path:
        """Where the certificate of its authority is."""
        return self.folder / "ca.pem"

    def start(self) -> None:
        """Run it, and wait until it accepts."""
        addresses = f"ldaps://127.0.0.1:{self.port} ldap://127.0.0.1:{self.plain_port}"
        command = [self.program, "-f", str(self.folder / "slapd.conf"), "-h", addresses, "-d", "0"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 30
        while True:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            assert time.monotonic() < end, "slapd does not listen"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def add(self, *entries: str) -> None:
        """Add entries, in LDIF."""
        self._do("ldapadd", (), "\n".join(entries))

    def modify(self, changes: str) -> None:
        """Change entries, in LDIF."""
        self._do("ldapmodify", (), changes)

    def delete(self, *dns: str) -> None:
        """Remove entries."""
        self._do("ldapdelete", dns)

    def _do(self, program: str, arguments: Sequence[str], text: str = "") -> None:
        command = [program, "-x", "-H", self.url, "-D", ROOT_DN, "-w", SECRET, *arguments]
        environment = {"LDAPTLS_CACERT": str(self.ca), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def _need(name: str, package: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed (apt-get install {package})")
    return path


def trusting(slapd: Slapd) -> ssl.SSLContext:
    """Give TLS settings that trust its authority."""
    return ssl.create_default_context(cafile=str(slapd.ca))
