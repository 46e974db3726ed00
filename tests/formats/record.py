"""Write the golden answers to the odd letters again.

`python -m tests.formats.record letters` writes what we say now: read the difference before it is committed.
`python -m tests.formats.record dovecot HOST PORT USER PASSWORD` asks a Dovecot what it says, section by section.
"""

import json
import re
import socket
import sys
from pathlib import Path
from typing import Any

from postroom.formats import message, sections
from tests.formats.letters import LETTERS

GOLDEN = Path(__file__).parent.parent / "golden" / "mime"
SECTIONS = (
    "HEADER", "TEXT", "1", "2", "3", "1.MIME", "2.MIME", "1.HEADER", "2.HEADER", "1.TEXT", "2.TEXT", "1.1", "1.2", "2.1", "2.2", "2.1.MIME",
    "1.1.1", "HEADER.FIELDS (SUBJECT TO)", "HEADER.FIELDS.NOT (SUBJECT TO)",
)  # fmt: skip
_LITERAL = re.compile(rb"\{(\d+)\}\r\n$")


def ours(raw: bytes) -> dict[str, Any]:
    """Give our answers in the shape of the golden files."""
    summary = message.summarize(raw)
    cut = {spec: sections.section(raw, summary.parts, spec) for spec in SECTIONS}
    return {
        "envelope": summary.envelope.decode("latin-1"),
        "bodystructure": summary.structure.decode("latin-1"),
        "body": sections.body(summary.structure).decode("latin-1"),
        "sections": {spec: value.decode("latin-1") for spec, value in cut.items() if value},
    }


class Peer:
    """An IMAP connection that shows answers whole, literals in place."""

    def __init__(self, host: str, port: int) -> None:
        self.file = socket.create_connection((host, port)).makefile("rwb")
        self.file.readline()

    def command(self, text: bytes, literal: bytes | None = None) -> bytes:
        self.file.write(b"x " + text + (b" {%d+}\r\n%b" % (len(literal), literal) if literal is not None else b"") + b"\r\n")
        self.file.flush()
        out = b""
        while not (line := self.file.readline()).startswith(b"x "):
            out += line
            while match := _LITERAL.search(line):
                out += self.file.read(int(match[1]))
                line = self.file.readline()
                out += line
        assert line.startswith(b"x OK"), (text, line)
        return out


def item(answer: bytes) -> str:
    """Cut the one data item out of a FETCH answer; of a string its content, of NIL nothing."""
    value = answer[: answer.index(b"\r\n", answer.rindex(b")"))].partition(b"FETCH (")[2][:-1]
    value = re.sub(rb"^(?:BODY\[[^\]]*\]|[A-Z]+) ", b"", value)
    if match := re.match(rb"\{(\d+)\}\r\n", value):
        value = value[match.end() :]
    elif value.startswith(b'"'):
        value = re.sub(rb"\\(.)", rb"\1", value[1:-1])
    return "" if value == b"NIL" else value.decode("latin-1")


def dovecot(host: str, port: str, user: str, password: str) -> dict[str, Any]:
    """Ask a Dovecot about every letter it takes."""
    peer = Peer(host, int(port))
    peer.command(f"LOGIN {user} {password}".encode())
    peer.command(b"SELECT INBOX")
    answers: dict[str, Any] = {}
    for name, raw in LETTERS.items():
        if b"\0" in raw or not raw:
            continue
        peer.command(b"APPEND INBOX", raw)
        peer.command(b"NOOP")
        answer: dict[str, Any] = {what: item(peer.command(b"FETCH * " + what.encode())) for what in ("envelope", "bodystructure", "body")}
        cut = {spec: item(peer.command(f"FETCH * BODY.PEEK[{spec}]".encode())) for spec in SECTIONS}
        answers[name] = answer | {"sections": {spec: value for spec, value in cut.items() if value}}
    return answers


def main(which: str, *peer: str) -> None:
    answers = dovecot(*peer) if which == "dovecot" else {name: ours(raw) for name, raw in LETTERS.items()}
    GOLDEN.mkdir(parents=True, exist_ok=True)
    (GOLDEN / f"{which}.json").write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
