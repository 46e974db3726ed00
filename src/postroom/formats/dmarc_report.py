"""Aggregate reports of DMARC: what a receiver tells a domain about the mail of a day that bore its name (RFC 7489 §7.2, appendix C).

Reports of others are untrusted: their size is bounded before and after unpacking, so are their elements and rows, and a document type is
refused, with which a small file could become a huge one.
"""

import gzip
import io
import ipaddress
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast
from xml.etree import ElementTree
from xml.sax.saxutils import escape

MAX_PACKED = 10 * 1024 * 1024
"""Octets of a packed report that is read."""
MAX_UNPACKED = 32 * 1024 * 1024
"""Octets of its XML."""
MAX_ROWS = 10_000
"""Rows of a report, read or written."""
MAX_TEXT = 500
"""Characters of a value that are kept."""
MAX_ELEMENTS, MAX_DEPTH = 250_000, 20
"""Elements of a report, and how deep they may lie within each other."""
MAX_ENTRIES = 100
"""Files in an archive; of several the first is read."""
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class DkimResult:
    """A signature as a report tells of it."""

    domain: str
    selector: str
    result: str


@dataclass(frozen=True, slots=True)
class Row:
    """Letters that were alike: `count` of them from one address; `dkim` and `spf` say whether these passed and were aligned.

    `disposition` is none, quarantine or reject; `reason` why it is not what the policy asks, with a comment.
    """

    source: str
    count: int
    disposition: str
    dkim: str
    spf: str
    header_from: str
    envelope_from: str = ""
    reason: str = ""
    comment: str = ""
    signatures: tuple[DkimResult, ...] = ()
    spf_domain: str = ""
    spf_scope: str = "mfrom"
    spf_result: str = "none"


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy as it was published."""

    domain: str
    adkim: str = "r"
    aspf: str = "r"
    p: str = "none"
    sp: str = ""
    pct: str = "100"
    fo: str = "0"


@dataclass(frozen=True, slots=True)
class Report:
    """One report; `begin` and `end` are epoch seconds."""

    organization: str
    email: str
    id: str
    begin: int
    end: int
    policy: Policy
    rows: tuple[Row, ...]


def write(report: Report) -> bytes:
    """Write a report as XML, so that it is valid by the schema of appendix C."""
    policy = report.policy
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<feedback>",
        "<version>1.0</version>",
        "<report_metadata>",
        _element("org_name", report.organization),
        _element("email", report.email),
        _element("report_id", report.id),
        f"<date_range><begin>{report.begin}</begin><end>{report.end}</end></date_range>",
        "</report_metadata>",
        "<policy_published>",
        *[_element(name, getattr(policy, name)) for name in ("domain", "adkim", "aspf", "p")],
        *[_element(name, value) for name, value in (("sp", policy.sp or policy.p), ("pct", policy.pct), ("fo", policy.fo))],
        "</policy_published>",
    ]
    for row in report.rows[:MAX_ROWS]:
        lines += _row(row)
    lines.append("</feedback>\n")
    return "\n".join(lines).encode()


def read(packed: bytes) -> Report:
    """Read a report as it is attached: XML, or that in gzip or in a zip archive; raises `ValueError`."""
    root = _parse(_decoded(unpack(packed)))
    if root.tag != "feedback" or not _text(root, "policy_published/domain"):
        raise ValueError("no report of DMARC")
    return Report(
        organization=_text(root, "report_metadata/org_name"),
        email=_text(root, "report_metadata/email"),
        id=_text(root, "report_metadata/report_id"),
        begin=_number(root, "report_metadata/date_range/begin"),
        end=_number(root, "report_metadata/date_range/end"),
        policy=Policy(*[_text(root, f"policy_published/{name}") for name in ("domain", "adkim", "aspf", "p", "sp", "pct", "fo")]),
        rows=tuple(_rows(root)),
    )


def unpack(packed: bytes, most: int = MAX_UNPACKED) -> bytes:
    """Take a file out of gzip or out of a zip archive, if it is in one; raises `ValueError` when it has more than `most` octets."""
    if len(packed) > MAX_PACKED:
        raise ValueError("the report is too large")
    try:
        if packed.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
                text = file.read(most + 1)
        elif packed.startswith(b"PK\x03\x04"):
            text = _unzip(packed, most)
        else:
            text = packed
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, IndexError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ValueError(f"it cannot be unpacked: {error}") from None
    if len(text) > most:
        raise ValueError("the report is too large")
    return text


def _unzip(packed: bytes, most: int) -> bytes:
    """Read the first file of an archive; methods that take memory by what the archive says of itself are not known here."""
    if packed.count(b"PK\x01\x02") > MAX_ENTRIES:
        raise ValueError("too many files")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        entry = archive.infolist()[0]
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("an unknown method")
        with archive.open(entry) as file:
            return file.read(most + 1)


def _decoded(text: bytes) -> str:
    """Give the characters of a report, which says itself that they are in UTF-8, or may be wrong; no other form hides a document type."""
    try:
        found = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        found = text.decode("latin-1")
    if "<!DOCTYPE" in found or "<!ENTITY" in found:
        raise ValueError("a report has no document type")
    return found


def _parse(text: str) -> ElementTree.Element:
    """Read the elements, as long as they are not too many, and take the namespaces off their names."""
    parser: ElementTree.XMLPullParser[ElementTree.Element] = ElementTree.XMLPullParser(("start", "end"))
    root: ElementTree.Element | None = None
    count = depth = 0
    try:
        for at in range(0, len(text), _CHUNK):
            parser.feed(text[at : at + _CHUNK])
            for event, element in cast("Iterator[tuple[str, ElementTree.Element]]", parser.read_events()):
                if event == "end":
                    depth -= 1
                    continue
                root = element if root is None else root
                element.tag = element.tag.rpartition("}")[2]
                count += 1
                depth += 1
                if count > MAX_ELEMENTS or depth > MAX_DEPTH:
                    raise ValueError("too many elements")
        parser.close()
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ValueError(f"no XML: {error}") from None
    if root is None:
        raise ValueError("no XML")
    return root


def _row(row: Row) -> list[str]:
    lines = [
        "<record><row>",
        _element("source_ip", _full(row.source)),
        f"<count>{row.count}</count>",
        "<policy_evaluated>",
        *[_element(name, value) for name, value in (("disposition", row.disposition), ("dkim", row.dkim), ("spf", row.spf))],
    ]
    if row.reason:
        lines.append(f"<reason>{_element('type', row.reason)}{_element('comment', row.comment)}</reason>")
    lines += ["</policy_evaluated></row>", "<identifiers>"]
    lines += [_element("envelope_from", row.envelope_from), _element("header_from", row.header_from), "</identifiers><auth_results>"]
    for signature in row.signatures:
        parts = (("domain", signature.domain), ("selector", signature.selector), ("result", signature.result))
        lines.append(f"<dkim>{''.join(_element(name, value) for name, value in parts)}</dkim>")
    parts = (("domain", row.spf_domain), ("scope", row.spf_scope), ("result", row.spf_result))
    lines.append(f"<spf>{''.join(_element(name, value) for name, value in parts)}</spf>")
    lines.append("</auth_results></record>")
    return lines


def _full(address: str) -> str:
    """Write an address as the schema wants it, an IPv6 address without abbreviation."""
    try:
        return ipaddress.ip_address(address).exploded
    except ValueError:
        return address


def _short(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def _element(name: str, value: str) -> str:
    clean = "".join([char for char in value[:MAX_TEXT] if char >= " " and not "\ud800" <= char <= "\udfff" and char not in "\ufffe\uffff"])
    return f"<{name}>{escape(clean)}</{name}>"


def _rows(root: ElementTree.Element) -> Iterator[Row]:
    for number, record in enumerate(root.iterfind("record")):
        if number >= MAX_ROWS:
            return
        signatures = [
            DkimResult(_text(found, "domain"), _text(found, "selector"), _text(found, "result"))
            for found in record.findall("auth_results/dkim")[:20]
        ]
        yield Row(
            source=_short(_text(record, "row/source_ip")),
            count=_number(record, "row/count"),
            disposition=_text(record, "row/policy_evaluated/disposition"),
            dkim=_text(record, "row/policy_evaluated/dkim"),
            spf=_text(record, "row/policy_evaluated/spf"),
            header_from=_text(record, "identifiers/header_from"),
            envelope_from=_text(record, "identifiers/envelope_from"),
            reason=_text(record, "row/policy_evaluated/reason/type"),
            comment=_text(record, "row/policy_evaluated/reason/comment"),
            signatures=tuple(signatures),
            spf_domain=_text(record, "auth_results/spf/domain"),
            spf_scope=_text(record, "auth_results/spf/scope"),
            spf_result=_text(record, "auth_results/spf/result"),
        )


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip().replace("\0", "")[:MAX_TEXT]


def _number(element: ElementTree.Element, path: str) -> int:
    text = _text(element, path)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0
