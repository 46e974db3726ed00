"""Map a message's bytes: where each part's header, body and end lie, and what each part says it is (RFC 2046).

One walk from front to back. Every multipart still open keeps the place of its next delimiter line, looked for no further than
the next delimiter of the multiparts around it; so no byte is visited more often than parts are nested, and nesting, parts,
look-alike lines and header octets that are read are all bounded. Beyond a bound nothing fails: what is deeper is a leaf, what
follows belongs to the last part.

Leniency: lines may end in a bare LF; a header may lack its empty line; a multipart may lack its end; the innermost open multipart
owns a delimiter that several share; a delimiter line is the whole boundary, and nothing but blanks behind it.
"""

import re
from collections.abc import Mapping

from postroom.formats import parameters
from postroom.formats.parameters import Parameters
from postroom.formats.words import unfold

MAX_DEPTH = 50
MAX_PARTS = 5_000
MAX_LOOKALIKES = 100_000
HEADER_LIMIT = 1 << 20
"""Octets of one header that are read for its fields."""
HEADERS_LIMIT = 4 << 20
"""Octets of all headers of a message together that are read for their fields."""

FIELDS = frozenset(
    b"date subject from sender reply-to to cc bcc in-reply-to message-id references content-type content-transfer-encoding content-id "
    b"content-description content-disposition content-md5 content-language content-location".split()
)
Fields = Mapping[bytes, list[bytes]]

_find_fields = re.compile(rb"\n([bcdfimrst][a-z5-]{1,24})[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.IGNORECASE).findall
_TOKEN = re.compile(rb"[^\x00-\x20\x7f-\xff()<>@,;:\\\"/\[\]?=]+")
_IDENTITY = (b"7bit", b"8bit", b"binary")
_NOTHING: Fields = {}


class Entity:
    """One header and body: a message, or a part of one. Offsets count from the start of the message's bytes."""

    __slots__ = ("body_start", "children", "encoding", "end", "fields", "header_start", "parameters", "subtype", "type")

    def __init__(self, header_start: int, body_start: int, fields: Fields) -> None:
        self.header_start = header_start
        self.body_start = body_start
        self.end = body_start
        self.fields = fields
        self.type = b"text"
        self.subtype = b"plain"
        self.parameters: Parameters = []
        self.encoding = b"7bit"
        self.children: list[Entity] = []

    def field(self, name: bytes) -> bytes | None:
        """Find the first field of that (lower case) name, unfolded."""
        values = self.fields.get(name)
        return unfold(values[0]) if values else None


class _Level:
    """An open multipart's delimiter: the entity's depth, what to look for, and the next place found."""

    __slots__ = ("after", "at", "closing", "depth", "found", "needle")

    def __init__(self, depth: int, boundary: bytes) -> None:
        self.depth = depth
        self.needle = b"\n--" + boundary
        self.at = -1
        self.after = 0
        self.found = False
        self.closing = False


def header_end(raw: bytes, start: int, stop: int) -> int:
    """Find where the body starts: behind the first empty line, or at `stop` when the header has none."""
    if raw.startswith(b"\r\n", start, stop):
        return start + 2
    if raw.startswith(b"\n", start, stop):
        return start + 1
    crlf = raw.find(b"\n\r\n", start, stop)
    bare = raw.find(b"\n\n", start, stop if crlf < 0 else crlf + 1)
    if bare >= 0:
        return bare + 2
    return stop if crlf < 0 else crlf + 3


def scan(raw: bytes) -> Entity:
    """Map a message of any bytes whatever."""
    return _Scan(raw).run()


class _Scan:
    __slots__ = ("budget", "chain", "count", "levels", "lookalikes", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.chain: list[Entity] = []
        self.levels: list[_Level] = []
        self.count = 0
        self.lookalikes = 0
        self.budget = HEADERS_LIMIT

    def run(self) -> Entity:
        raw = self.raw
        position = self._enter(0, len(raw), digest=False)
        root = self.chain[0]
        while (index := self._next(position)) >= 0:
            level = self.levels[index]
            self._end(level.depth + 1, level.at)
            position = max(level.after - 1, level.at + 1)
            if level.closing:
                del self.levels[index:]
                continue
            del self.levels[index + 1 :]
            start = level.after
            following = self._next(position)
            stop = len(raw) if following < 0 else self.levels[following].at + 1
            position = self._enter(start, stop, digest=self.chain[level.depth].subtype == b"digest")
            if self.count >= MAX_PARTS:
                break
        self._end(0, len(raw))
        return root

    def _enter(self, start: int, stop: int, *, digest: bool) -> int:
        """Read the entity that starts there, and the messages it wraps; return where its delimiters may begin."""
        while True:
            entity = self._entity(start, max(start, stop), digest=digest)
            if self.chain:
                self.chain[-1].children.append(entity)
            self.chain.append(entity)
            if not self._wraps_message(entity):
                break
            start, digest = entity.body_start, False
        if entity.type == b"multipart":
            boundary = (parameters.find(entity.parameters, b"boundary") or b"").rstrip()
            if boundary:
                self.levels.append(_Level(len(self.chain) - 1, boundary))
        return max(entity.body_start - 1, 0)

    def _entity(self, start: int, stop: int, *, digest: bool) -> Entity:
        self.count += 1
        body_start = header_end(self.raw, start, stop)
        entity = Entity(start, body_start, self._fields(start, body_start))
        if (encoding := entity.field(b"content-transfer-encoding")) is not None:
            entity.encoding = encoding.partition(b" ")[0].lower() or b"7bit"
        if (value := entity.field(b"content-type")) is not None:
            self._describe(entity, value)
        elif digest:
            entity.type, entity.subtype = b"message", b"rfc822"
        if entity.type in (b"multipart", b"message") and self._is_opaque(entity):
            entity.type, entity.subtype = b"application", b"octet-stream"
        return entity

    def _is_opaque(self, entity: Entity) -> bool:
        """Say whether a container must stay closed: too deep, too many, or a message that is encoded (RFC 2046 §5.2.1)."""
        if entity.type == b"message" and entity.subtype != b"rfc822":
            return False
        full = len(self.chain) >= MAX_DEPTH or self.count >= MAX_PARTS
        return full or (entity.type == b"message" and entity.encoding not in _IDENTITY)

    def _wraps_message(self, entity: Entity) -> bool:
        if entity.type != b"message" or entity.subtype not in (b"rfc822", b"global"):
            return False
        return entity.encoding in _IDENTITY and len(self.chain) <= MAX_DEPTH and self.count < MAX_PARTS

    def _describe(self, entity: Entity, value: bytes) -> None:
        main, found = parameters.parse(value)
        kind, _, subtype = main.partition(b"/")
        token, subtoken = _TOKEN.match(kind.strip()), _TOKEN.match(subtype.strip())
        entity.parameters = found
        if token and subtoken:
            entity.type, entity.subtype = token[0], subtoken[0]

    def _fields(self, start: int, stop: int) -> Fields:
        stop = min(stop, start + HEADER_LIMIT, start + self.budget)
        if stop <= start:
            return _NOTHING
        self.budget -= stop - start
        found: dict[bytes, list[bytes]] = {}
        for name, value in _find_fields(b"\n" + self.raw[start:stop]):
            name = name.lower()
            if name in FIELDS:
                found.setdefault(name, []).append(value)
        return found

    def _next(self, position: int) -> int:
        """Find the open multipart whose delimiter line comes first; of several that share one, the innermost.

        A multipart's next place is never behind that of the one around it, so those to look for again are the innermost ones.
        """
        levels = self.levels
        index = len(levels)
        while index and levels[index - 1].at < position:
            index -= 1
        for stale in range(index, len(levels)):
            self._search(levels[stale], position, levels[stale - 1].at if stale else len(self.raw))
        index = len(levels) - 1
        while index >= 0 and not levels[index].found:
            index -= 1
        return index

    def _search(self, level: _Level, position: int, bound: int) -> None:
        """Look for a multipart's next delimiter line, starting no later than `bound` (RFC 2046 §5.1.1)."""
        raw, needle = self.raw, level.needle
        limit = bound + len(needle)
        at = raw.find(needle, position, limit)
        while at >= 0 and self.lookalikes < MAX_LOOKALIKES:
            tail = at + len(needle)
            line_end = raw.find(b"\n", tail)
            level.after = len(raw) if line_end < 0 else line_end + 1
            rest = raw[tail : level.after].rstrip()
            if not rest or rest == b"--":
                level.at, level.found, level.closing = at, True, bool(rest)
                return
            self.lookalikes += 1
            at = raw.find(needle, tail, limit)
        level.at, level.found = bound, False

    def _end(self, depth: int, at: int) -> None:
        """End every open entity from that depth on at a delimiter's line break, which is not theirs.

        A multipart that shows no delimiter has one part, all of it, as plain text: so its content can be read.
        """
        end = at
        if depth and at and self.raw[at - 1] == 13:
            end = at - 1
        while len(self.chain) > depth:
            entity = self.chain.pop()
            entity.end = end = max(end, entity.body_start)
            if entity.type == b"multipart" and not entity.children:
                whole = Entity(entity.body_start, entity.body_start, _NOTHING)
                whole.end = end
                entity.children.append(whole)
