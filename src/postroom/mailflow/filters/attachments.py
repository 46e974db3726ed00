"""Attachments that are programs, by their names: those of the parts themselves, and those in zip archives."""

from collections.abc import Iterator

from postroom.formats import parts, scanner, text, zip_listing
from postroom.formats.parts import Part
from postroom.mailflow.filters import wire
from postroom.mailflow.filters.opinions import Opinion
from postroom.mailflow.filters.settings import Settings

MOST_ARCHIVES = 50
"""Archives of one letter that are looked into; more of them are taken for one that cannot be."""


def wanted(settings: Settings) -> bool:
    """Say whether attachments matter at all."""
    return settings.attachments != "accept" or settings.encrypted_archives != "accept"


def look(raw: bytes, settings: Settings) -> Opinion:
    """Give the opinion of a letter that its attachments deserve."""
    endings = frozenset(ending.lower().lstrip(".") for ending in settings.extensions)
    archives = 0
    for part in _leaves(parts.tree(raw, scanner.scan(raw))):
        if is_program(part.filename, endings):
            return _unwelcome(settings.attachments, "EXECUTABLE_ATTACHMENT", part.filename)
        archive = _archive(raw, part)
        if archive is None:
            continue
        archives += 1
        found = zip_listing.read(archive) if archives <= MOST_ARCHIVES else zip_listing.Listing(encrypted=True)
        for name in found.names:
            if is_program(name, endings):
                return _unwelcome(settings.attachments, "EXECUTABLE_IN_ARCHIVE", name)
        if found.encrypted and settings.encrypted_archives != "accept":
            return _unwelcome(settings.encrypted_archives, "ENCRYPTED_ARCHIVE", part.filename)
    return Opinion()


def is_program(name: str, endings: frozenset[str]) -> bool:
    """Say whether a file name ends as a program's; dots and blanks at its end count for nothing, as Windows drops them."""
    plain = name.replace("\0", "").rstrip(". \t\r\n").lower()
    return "." in plain and plain.rpartition(".")[2].strip() in endings


def _unwelcome(policy: str, symbol: str, name: str) -> Opinion:
    if policy == "accept":
        return Opinion()
    shown = wire.safe(name.rpartition("/")[2]).encode("ascii", "replace").decode()[:80]
    what = "an encrypted archive" if symbol == "ENCRYPTED_ARCHIVE" else "a program"
    return Opinion(1.0, (symbol,), refuse=f"Attachments may not be {what} ({shown})" if policy == "refuse" else "")


def _leaves(part: Part) -> Iterator[Part]:
    waiting: list[Part] = [part]
    while waiting:
        one = waiting.pop()
        if one.children:
            waiting += one.children
        else:
            yield one


def _archive(raw: bytes, part: Part) -> bytes | None:
    """Give the octets of a part that is a zip archive, whatever it calls itself: documents of offices are such, too."""
    body = raw[part.body_start : part.end]
    if part.encoding == "base64" and not _begins_as_archive(body):
        return None
    decoded = text.transfer_decoded(body, part.encoding)
    return decoded if decoded.startswith(zip_listing.MARK) else None


def _begins_as_archive(body: bytes) -> bool:
    return body[:100].lstrip().startswith(b"UEsDB")
