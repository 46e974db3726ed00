"""Finds the reports that others have sent: as files, or in the letters that brought them. All of it is untrusted, and bounded."""

from collections.abc import Iterator

from postroom.formats import dmarc_report, parts, scanner, text, tls_report
from postroom.formats.parts import Part

MAX_LETTER = 32 * 1024 * 1024
"""Octets of a letter that is looked into."""
MAX_PARTS = 50
"""Parts of a letter that are looked at."""
MAX_REPORTS = 10
"""Reports of one letter."""
_TYPES = frozenset(
    f"application/{name}"
    for name in ("gzip", "x-gzip", "zip", "x-zip", "x-zip-compressed", "xml", "json", "octet-stream", "tlsrpt+gzip", "tlsrpt+json")
) | {"text/xml"}
_ENDINGS = (".xml", ".xml.gz", ".zip", ".json", ".json.gz")

Report = dmarc_report.Report | tls_report.Report


def read(packed: bytes) -> Report:
    """Read a report of DMARC or of TLS as it is attached; raises `ValueError`."""
    if dmarc_report.unpack(packed).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return tls_report.read(packed)
    return dmarc_report.read(packed)


def in_letter(raw: bytes) -> list[Report]:
    """List the reports in a letter; parts that are none are passed over."""
    found: list[Report] = []
    if len(raw) > MAX_LETTER:
        return found
    for part in _candidates(parts.tree(raw, scanner.scan(raw))):
        try:
            found.append(read(text.transfer_decoded(raw[part.body_start : part.end], part.encoding)))
        except ValueError:
            continue
        if len(found) == MAX_REPORTS:
            break
    return found


def in_file(content: bytes) -> list[Report]:
    """List the reports in a file: one as it was attached, or those of a whole letter. Raises `ValueError` where there is none."""
    try:
        return [read(content)]
    except ValueError as error:
        found = in_letter(content)
        if not found:
            raise error from None
        return found


def _candidates(root: Part) -> Iterator[Part]:
    """List the parts that may be reports, by type or name."""
    waiting, looked = [root], 0
    while waiting and looked < MAX_PARTS:
        part = waiting.pop()
        looked += 1
        if part.children:
            waiting += reversed(part.children[:MAX_PARTS])
        elif part.type in _TYPES or part.filename.lower().endswith(_ENDINGS):
            yield part
