"""A letter as scripts see it: header fields decoded, addresses, texts of the body, each read when it is asked for, and once.

Of a header so long that nobody has written it, the first part counts; of the body a megabyte.
"""

from collections.abc import Callable, Iterator, Sequence

from postroom.formats import addresses, charsets, fields, parts, scanner, text
from postroom.formats.addresses import Mailbox
from postroom.formats.parts import Part
from postroom.formats.words import decode_header, unfold

MAX_FIELDS = 5_000
MAX_HEADER = 1 << 20
"""Octets of a header that count."""
MAX_VALUE = 65_536
"""Octets of a field's value that count."""
MAX_BODY = 1 << 20
"""Octets of the body, or of its texts, that count."""


class Letter:
    """The letter that `read` gives, and what a script has made of its header."""

    __slots__ = ("_fields", "_raw", "_read", "_rest", "_tree", "edited", "size")

    def __init__(self, read: Callable[[], bytes], size: int) -> None:
        self._read = read
        self._raw: bytes | None = None
        self._fields: list[tuple[str, bytes]] | None = None
        self._rest = 0
        self._tree: Part | None = None
        self.size = size
        self.edited = False

    @property
    def raw(self) -> bytes:
        """The octets as they came."""
        if self._raw is None:
            self._raw = self._read()
        return self._raw

    @property
    def _header(self) -> list[tuple[str, bytes]]:
        """The fields that count: name in lower case, octets with folds and line end."""
        if self._fields is None:
            self._fields = []
            for start, end in fields.every(self.raw):
                if end > MAX_HEADER or len(self._fields) >= MAX_FIELDS:
                    break
                field = self.raw[start:end]
                self._fields.append((field.partition(b":")[0].strip().lower().decode("latin-1"), field))
                self._rest = end
        return self._fields

    @property
    def fields(self) -> int:
        """The number of fields that count."""
        return len(self._header)

    def values(self, name: str) -> list[bytes]:
        """List the unfolded values of the fields of a name."""
        wanted = name.lower()
        return [unfold(field.partition(b":")[2][:MAX_VALUE]) for own, field in self._header if own == wanted]

    def texts(self, name: str) -> list[str]:
        """List the values of the fields of a name as a reader sees them (RFC 5228 §2.7.2)."""
        return [decode_header(value).strip() for value in self.values(name)]

    def mailboxes(self, name: str) -> list[list[Mailbox]]:
        """List the addresses of each field of a name."""
        return [[one for one in addresses.parse(value) if one.local and one.domain] for value in self.values(name)]

    # The body

    def body(self) -> str:
        """Give the body as it came."""
        start = self._parts.body_start
        return charsets.guess(self.raw[start : start + MAX_BODY])

    def contents(self, kinds: Sequence[str]) -> Iterator[str]:
        """Give the parts whose content type is one of these, `type`, `type/subtype` or '' for all (RFC 5173 §5.2)."""
        left = MAX_BODY
        for part in _every(self._parts):
            if left > 0 and any(_is_of(part.type, kind.lower()) for kind in kinds):
                found = self._text(part)[:left]
                left -= len(found)
                yield found

    def words(self) -> Iterator[str]:
        """Give the texts of the body, of HTML what is to be read (RFC 5173 §5.3)."""
        left = MAX_BODY
        for part in _every(self._parts):
            if left > 0 and part.type.startswith("text/") and part.disposition != "attachment":
                found = self._text(part)[:left]
                left -= len(found)
                yield text.strip_html(found) if part.type == "text/html" else found

    @property
    def _parts(self) -> Part:
        if self._tree is None:
            self._tree = parts.tree(self.raw, scanner.scan(self.raw))
        return self._tree

    def _text(self, part: Part) -> str:
        if part.wraps_message:
            inner = part.children[0]
            return charsets.guess(self.raw[inner.header_start : min(inner.body_start, inner.header_start + MAX_BODY)])
        end = part.end
        if part.is_multipart:
            end = part.children[0].header_start if part.children else part.end
        body = self.raw[part.body_start : min(end, part.body_start + 2 * MAX_BODY)]
        return charsets.decode(text.transfer_decoded(body, part.encoding), part.charset)

    # Another header

    def add(self, name: str, value: str, *, last: bool) -> None:
        """Put a field before all others, but for our own Return-Path, or behind them (RFC 5293 §4)."""
        field = name.encode() + b": " + _encoded(value) + b"\r\n"
        first = int(bool(self._header) and self._header[0][0] == "return-path")
        self._header.insert(len(self._header) if last else first, (name.lower(), field))
        self.edited = True

    def delete(self, name: str, positions: Sequence[int]) -> None:
        """Take out the fields of a name at these positions among them, from 0 (RFC 5293 §5)."""
        kept, at, wanted = [], 0, name.lower()
        for own, field in self._header:
            if own != wanted or at not in positions:
                kept.append((own, field))
            at += own == wanted
        self.edited = self.edited or len(kept) < len(self._header)
        self._fields = kept

    def written(self) -> bytes:
        """Give the letter with the header that it has now."""
        return b"".join([field for _, field in self._header]) + self.raw[self._rest :]


def _encoded(value: str) -> bytes:
    """Write a value: on one line, encoded where it is not ASCII (RFC 2047)."""
    from email.header import Header

    plain = " ".join(value.split())
    return plain.encode() if plain.isascii() else Header(plain, "utf-8", maxlinelen=900).encode(linesep="\r\n").encode()


def _every(root: Part) -> Iterator[Part]:
    waiting = [root]
    while waiting:
        part = waiting.pop()
        yield part
        waiting += reversed(part.children)


def _is_of(kind: str, wanted: str) -> bool:
    if not wanted:
        return True
    return kind == wanted if "/" in wanted else kind.partition("/")[0] == wanted
