"""The names in a zip archive, read from the directory at its end; nothing is unpacked.

The archive is a stranger's: what it says of itself is bounded by the octets there are and by a number of entries, and what does not fit
ends the reading. Zip64 is read as far as its 32-bit fields go, which is all that fits into a letter.

PKWARE APPNOTE.TXT 6.3.10
"""

import struct
from dataclasses import dataclass

MOST_ENTRIES = 10_000
MARK = b"PK\3\4"
_END, _ENTRY = b"PK\5\6", b"PK\1\2"
_TAIL = 65_557
"""The end of central directory with the longest comment."""
_ENCRYPTED = 0x0001
_UNICODE = 0x0800


@dataclass(frozen=True, slots=True)
class Listing:
    """Names of the entries; whether one is encrypted; whether the archive could not be read to its end."""

    names: tuple[str, ...] = ()
    encrypted: bool = False
    broken: bool = False


def read(archive: bytes) -> Listing:
    """List an archive (§4.3.12, §4.3.16)."""
    end = archive.rfind(_END, max(0, len(archive) - _TAIL))
    if end < 0 or len(archive) - end < 22:
        return Listing(broken=True)
    length, offset = struct.unpack_from("<LL", archive, end + 12)
    start = end - length if length <= end else offset  # where it says, unless something stands before the archive
    names: list[str] = []
    encrypted = False
    while archive[start : start + 4] == _ENTRY and start + 46 <= end and len(names) < MOST_ENTRIES:
        (flags,) = struct.unpack_from("<H", archive, start + 8)
        name_length, extra, comment = struct.unpack_from("<HHH", archive, start + 28)
        name = archive[start + 46 : min(start + 46 + name_length, end)]
        names.append(name.decode("utf-8" if flags & _UNICODE else "cp437", "replace"))
        encrypted = encrypted or bool(flags & _ENCRYPTED)
        start += 46 + name_length + extra + comment
    return Listing(tuple(names), encrypted, broken=start != end and archive[start : start + 4] not in (b"PK\6\6", b"PK\5\5"))
