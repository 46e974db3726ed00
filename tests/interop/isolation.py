"""A private view of the machine's files for somebody else's program: its own resolver, users and folders, and nobody else notices.

Programs that read /etc/resolv.conf or keep their queue in one fixed place can so be run several times, each with the DNS of a laboratory.
Only root may make such a view (mount_namespaces(7)).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path


def command(
    arguments: Sequence[str | Path], folder: Path, *, files: Mapping[str, str] | None = None, folders: Mapping[str, Path | None] | None = None
) -> list[str]:
    """Give the command that runs a program in a view of its own.

    `files` are the contents of files that exist, `folders` what stands in the place of others: a folder, or None for an empty one.
    """
    steps = ["set -e", "mount --make-rprivate /"]
    for place, source in (folders or {}).items():
        if source is None:
            steps.append(f"mount -t tmpfs -o mode=755 tmpfs {place}")
        else:
            steps.append(f"mkdir -p {place}; mount --bind {shlex.quote(str(source))} {place}")
    for place, text in (files or {}).items():
        file = folder / ("view" + place.replace("/", "-"))
        file.write_text(text)
        steps.append(f"mount --bind {shlex.quote(str(file))} {place}")
    steps.append('exec "$@"')
    return ["unshare", "--mount", "/bin/sh", "-c", "\n".join(steps), "view", *map(str, arguments)]


def resolver(address: str) -> dict[str, str]:
    """Give the files that make a program ask one name server, which must listen on port 53 and may be believed about DNSSEC."""
    return {"/etc/resolv.conf": f"nameserver {address}\noptions trust-ad edns0\n"}


def with_users(names: Sequence[str]) -> dict[str, str]:
    """Give the files that make users known, with groups of the same name."""
    passwd, group = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
    for number, name in enumerate(names, 64_100):
        passwd += f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n"
        group += f"{name}:x:{number}:\n"
    return {"/etc/passwd": passwd, "/etc/group": group}
