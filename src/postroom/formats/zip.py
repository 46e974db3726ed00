"""Zip archives, piece by piece: what stands before an entry, what the directory at the end says of it, how the archive ends.

Nothing is kept between the pieces, so an archive can be written in one go of any length, or be taken up again where it was left: who
writes it knows each entry and where it began. An entry is packed in memory, with its length and checksum known before it is written, so
no reader meets the descriptors that streaming writers leave behind an entry. Entries stay below 4 GiB; the archive may be larger (Zip64).

PKWARE APPNOTE.TXT 6.3.10
"""

from __future__ import annotations

import struct
import time
import zlib
from dataclasses import dataclass

STORED, DEFLATED = 0, 8
LEVEL = 1
"""Of zlib. What mail has to lose are the repetitions of text and a quarter of Base64, which the quickest level finds too."""

_PIECE = 1 << 20
_LIMIT_16, _LIMIT_32 = 0xFFFF, 0xFFFFFFFF
_UNICODE = 0x0800
_PLAIN, _ZIP64 = 20, 45
_UNIX = 3 << 8
_FILE, _FOLDER = 0o100600 << 16, (0o040700 << 16) | 0x10
_EARLIEST, _LATEST = 315_532_800, 4_354_819_198
"""From 1980 to 2107, as far as the dates of DOS go; epoch seconds."""
_LATEST_STAMP = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Entry:
    """What an archive says of an entry; the name of a folder ends with a slash, times are epoch seconds, lengths in bytes."""

    name: str
    modified: int
    method: int
    checksum: int
    packed: int
    size: int

    @property
    def length(self) -> int:
        """Bytes that the entry takes in the archive, with what stands before it."""
        return len(head(self)) + self.packed


def pack(name: str, modified: int, raw: bytes) -> tuple[Entry, bytes | bytearray]:
    """Pack bytes where that makes them fewer; gives the entry and what follows its head."""
    deflated = _deflated(raw)
    method, packed = (DEFLATED, deflated) if len(deflated) < len(raw) else (STORED, raw)
    return Entry(name, modified, method, zlib.crc32(raw), len(packed), len(raw)), packed


def _deflated(raw: bytes) -> bytearray:
    """Deflate bytes a piece at a time: in one go the result is there twice for a moment."""
    compressor, deflated, view = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS), bytearray(), memoryview(raw)
    for start in range(0, len(raw), _PIECE):
        deflated += compressor.compress(view[start : start + _PIECE])
    deflated += compressor.flush()
    return deflated


def head(entry: Entry) -> bytes:
    """Give what stands before the bytes of an entry (§4.3.7)."""
    name, stamp = entry.name.encode(), _stamp(entry.modified)
    return struct.pack("<4sHH", b"PK\3\4", _PLAIN, _UNICODE) + _common(entry, name, stamp) + name + stamp


def listing(entry: Entry, offset: int) -> bytes:
    """Give what the directory says of an entry that begins at an offset (§4.3.12)."""
    name, extra = entry.name.encode(), _stamp(entry.modified)
    version = _PLAIN
    if offset >= _LIMIT_32:
        version, extra, offset = _ZIP64, struct.pack("<HHQ", 1, 8, offset) + extra, _LIMIT_32
    attributes = _FOLDER if entry.name.endswith("/") else _FILE
    start = struct.pack("<4sHHH", b"PK\1\2", _UNIX | _ZIP64, version, _UNICODE) + _common(entry, name, extra)
    return start + struct.pack("<HHHLL", 0, 0, 0, attributes, offset) + name + extra


def ending(entries: int, length: int, offset: int) -> bytes:
    """Give the end of an archive whose directory of so many entries and bytes begins at an offset (§4.3.14 to §4.3.16)."""
    long = b""
    if entries >= _LIMIT_16 or length >= _LIMIT_32 or offset >= _LIMIT_32:
        long = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, _UNIX | _ZIP64, _ZIP64, 0, 0, entries, entries, length, offset)
        long += struct.pack("<4sLQL", b"PK\6\7", 0, offset + length, 1)
    count = min(entries, _LIMIT_16)
    return long + struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, count, count, min(length, _LIMIT_32), min(offset, _LIMIT_32), 0)


def _common(entry: Entry, name: bytes, extra: bytes) -> bytes:
    """Give what the head and the directory say in the same words."""
    date, clock = _dos(entry.modified)
    return struct.pack("<HHHLLLHH", entry.method, clock, date, entry.checksum, entry.packed, entry.size, len(name), len(extra))


def _stamp(modified: int) -> bytes:
    """Give the time in UTC, which the dates of DOS do not know ("extended timestamp")."""
    return struct.pack("<HHBL", 0x5455, 5, 1, max(0, min(modified, _LATEST_STAMP)))


def _dos(modified: int) -> tuple[int, int]:
    year, month, day, hour, minute, second, *_ = time.gmtime(max(_EARLIEST, min(modified, _LATEST)))
    return (year - 1980) << 9 | month << 5 | day, hour << 11 | minute << 5 | second // 2
