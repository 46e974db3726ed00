"""`postroom reports`: what other servers have reported of our domains by DMARC and TLS-RPT. A server may run meanwhile."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from postroom.directory import addresses
from postroom.formats import received_reports
from postroom.formats.received_reports import MAX_LETTER, Report
from postroom.mailbox import access, contents, folders, items
from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.server import opening
from postroom.server.cli import options
from postroom.server.report_tables import Tables
from postroom.storage.engine import Store, Tx

DAY = 86_400
MOST_LETTERS = 20_000
"""Letters of a mailbox that are looked into, the newest of each folder."""
PAGE = 50


def describe(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs below `reports`."""
    options.add_configuration(parser)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser("show", help="show reports in files: as they were attached, or whole letters")
    show.add_argument("files", nargs="+", metavar="FILE", type=Path)
    show.set_defaults(action=_show)
    summary = actions.add_parser("summary", help="add up the reports that have come to a mailbox")
    options.add_organization(summary)
    summary.add_argument("--mailbox", required=True, metavar="ADDRESS", help="the address that reports are sent to (rua=)")
    summary.add_argument("--days", type=int, default=30, help="of letters that came in so many days (%(default)s)")
    summary.set_defaults(action=_summarize)


def run(arguments: argparse.Namespace) -> int:
    """Run one of them."""
    return int(arguments.action(arguments))


def _show(arguments: argparse.Namespace) -> int:
    """Show the reports of each file; exit status 1 when one has none."""
    status = 0
    for path in arguments.files:
        tables = Tables()
        try:
            with path.open("rb") as file:
                found = received_reports.in_file(file.read(MAX_LETTER + 1))
        except (OSError, ValueError) as error:
            print(f"{path}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
            status = 1
            continue
        for report in found:
            tables.add(report)
        _print(str(path), tables)
    return status


def _summarize(arguments: argparse.Namespace) -> int:
    store = opening.open_store(options.settings(arguments))
    tables = Tables()
    try:
        organization = options.organization(store, arguments.organization)
        for report in _received(store, organization, arguments.mailbox, arguments.days):
            tables.add(report)
    finally:
        store.close()
    _print(f"{arguments.mailbox}, {arguments.days} days", tables)
    return 0


def _print(title: str, tables: Tables) -> None:
    print(f"{title}: {tables.reports} {'report' if tables.reports == 1 else 'reports'}")
    for line in tables.lines():
        print(line)


def _received(store: Store, organization: Organization, address: str, days: int) -> Iterator[Report]:
    """Read the reports in the letters of a mailbox, in whatever folder they lie; raises EntityNotFound."""
    scope = organization.number
    with store.transaction(scope, write=False) as tx:
        letters = _letters(tx, address, since=store.now() - days * DAY)
    for at in range(0, len(letters), PAGE):
        with store.transaction(scope, write=False) as tx:
            raws = [_read(tx, content) for content in letters[at : at + PAGE]]
        for raw in raws:
            yield from received_reports.in_letter(raw)


def _letters(tx: Tx, address: str, *, since: float) -> list[int]:
    owner = addresses.resolve(tx, address)
    if owner is None:
        raise errors.EntityNotFound(f"Nobody has the address {address}.")
    mailbox = access.open_for_upkeep(tx, owner.id)
    found: dict[int, None] = {}
    for folder in folders.tree(tx, mailbox):
        rows = items.rows(tx, folder.id, [(max(folder.uidnext - MOST_LETTERS, 1), folder.uidnext)], ("content", "received_at", "size"))
        found |= {content: None for content, received_at, size in rows if received_at >= since and size <= MAX_LETTER}
    return list(found)[:MOST_LETTERS]


def _read(tx: Tx, content: int) -> bytes:
    try:
        return contents.read(tx, content)
    except errors.ItemNotFound:
        return b""
