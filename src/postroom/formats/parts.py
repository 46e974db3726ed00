"""The stored map of a message's parts: offsets and what a later reader needs, packed small."""

import msgspec

from postroom.formats import parameters
from postroom.formats.scanner import Entity


class Part(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message or a part of one; offsets count from the start of the message's bytes.

    `raw[header_start:body_start]` is its header with the empty line, `raw[body_start:end]` its body. A part that wraps a message
    has that message as its only child. `type` and `encoding` are lower case; `lines` counts line ends in the body of text and messages.
    """

    header_start: int
    body_start: int
    end: int
    lines: int = 0
    type: str = "text/plain"
    encoding: str = "7bit"
    charset: str = ""
    disposition: str = ""
    filename: str = ""
    children: tuple["Part", ...] = ()

    @property
    def is_multipart(self) -> bool:
        """Say whether its children are parts side by side."""
        return self.type.startswith("multipart/")

    @property
    def wraps_message(self) -> bool:
        """Say whether its only child is the message it carries."""
        return bool(self.children) and not self.is_multipart


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Part)


def tree(raw: bytes, entity: Entity) -> Part:
    """Make the stored map out of the scanner's."""
    disposition, filename = _disposition(entity)
    charset = parameters.find(entity.parameters, b"charset") if entity.parameters else None
    return Part(
        entity.header_start,
        entity.body_start,
        entity.end,
        raw.count(b"\n", entity.body_start, entity.end) if entity.type in (b"text", b"message") else 0,
        (entity.type + b"/" + entity.subtype).decode("ascii"),
        entity.encoding.decode("latin-1"),
        "" if charset is None else charset.decode("latin-1"),
        disposition,
        filename,
        tuple([tree(raw, child) for child in entity.children]),
    )


def _disposition(entity: Entity) -> tuple[str, str]:
    """Read how a part wants to be shown, and its file name (RFC 2183 §2.3), or else its content type's `name`."""
    kind, filename = "", ""
    if (value := entity.field(b"content-disposition")) is not None:
        main, found = parameters.parse(value)
        kind = main.decode("latin-1")
        filename = parameters.text(found, "filename") if found else ""
    if not filename and entity.parameters:
        filename = parameters.text(entity.parameters, "name")
    return kind, filename


def pack(part: Part) -> bytes:
    """Pack a map for its row."""
    return _encoder.encode(part)


def unpack(packed: bytes) -> Part:
    """Read a packed map."""
    return _decoder.decode(packed)
