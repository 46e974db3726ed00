"""What holds for every letter: generated well-formed ones agree with Python's own parser, byte for byte."""

from base64 import encodebytes
from dataclasses import dataclass
from email import message_from_bytes
from quopri import encodestring

from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.formats import parts, sections
from postroom.formats.message import summarize
from postroom.formats.parts import Part
from tests.formats import grammar


@dataclass(frozen=True)
class Tree:
    """A generated part: `children` of a multipart or a carried message, else encoded `content`."""

    kind: str
    content: bytes = b""
    encoding: str = "7bit"
    children: tuple["Tree", ...] = ()


_line = st.text(st.sampled_from("ab -.=\t<>äß\u4f60"), max_size=30).filter(lambda text: not text.startswith("-"))
_lines = st.lists(_line, max_size=5).map(lambda lines: "\r\n".join(lines).encode())
_text = st.builds(Tree, st.sampled_from(["text/plain", "text/html"]), _lines, st.sampled_from(["8bit", "base64", "quoted-printable"]))
_file = st.builds(Tree, st.sampled_from(["image/png", "application/pdf"]), st.binary(max_size=60), st.just("base64"))


def _containers(inner):
    multipart = st.builds(
        lambda subtype, children: Tree(f"multipart/{subtype}", children=tuple(children)),
        st.sampled_from(["mixed", "alternative", "related"]),
        st.lists(inner, min_size=1, max_size=4),
    )
    return multipart | st.builds(lambda child: Tree("message/rfc822", children=(child,)), inner)


_trees = st.recursive(_text | _file, _containers, max_leaves=12)


def encoded(tree: Tree) -> bytes:
    if tree.encoding == "base64":
        return encodebytes(tree.content).replace(b"\n", b"\r\n")
    if tree.encoding == "quoted-printable":
        return encodestring(tree.content.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    return tree.content


def written(tree: Tree, counter: list[int]) -> bytes:
    head = f"Content-Type: {tree.kind}"
    if not tree.children:
        return f"{head}; charset=utf-8\r\nContent-Transfer-Encoding: {tree.encoding}\r\n\r\n".encode() + encoded(tree)
    if tree.kind == "message/rfc822":
        return f"{head}\r\n\r\nSubject: inner\r\n".encode() + written(tree.children[0], counter)
    counter[0] += 1
    mark = f"--=_{counter[0]}_".encode()
    body = b"".join([b"\r\n" + mark + b"\r\n" + written(child, counter) for child in tree.children])
    return f'{head}; boundary="{mark[2:].decode()}"\r\n\r\npreamble'.encode() + body + b"\r\n" + mark + b"--\r\nepilogue"


def walk(part: Part, numbers: tuple[int, ...] = (), *, is_message: bool = True):
    """Give every part with its IMAP part number; a message that is no multipart has the one part 1."""
    if is_message and not part.is_multipart:
        numbers = (*numbers, 1)
    yield numbers, part
    for index, child in enumerate(part.children, 1):
        if part.is_multipart:
            yield from walk(child, (*numbers, index), is_message=False)
        else:
            yield from walk(child, numbers)


def check_offsets(part: Part, start: int, stop: int) -> None:
    assert start <= part.header_start <= part.body_start <= part.end <= stop
    at = part.body_start
    for child in part.children:
        check_offsets(child, at, part.end)
        at = child.end


@settings(max_examples=150, deadline=None)
@given(_trees)
def test_agrees_with_the_standard_library(tree):
    raw = b"From: a@b.test\r\nSubject: outer\r\n" + written(tree, [0])
    summary = summarize(raw)
    root = parts.unpack(summary.parts)
    theirs = list(message_from_bytes(raw).walk())
    mine = list(walk(root))
    assert [part.type for _, part in mine] == [part.get_content_type() for part in theirs]
    for (numbers, part), other in zip(mine, theirs, strict=True):
        if part.children:
            continue
        body = sections.binary(raw, summary.parts, numbers)
        assert body == other.get_payload(decode=True)
        assert part.lines == (raw[part.body_start : part.end].count(b"\n") if part.type.startswith("text/") else 0)


@settings(max_examples=150, deadline=None)
@given(_trees, st.sampled_from([b"\r\n", b"\n"]))
def test_sections_make_up_the_message(tree, ending):
    raw = (b"Subject: outer\r\n" + written(tree, [0])).replace(b"\r\n", ending)
    packed = summarize(raw).parts
    check_offsets(parts.unpack(packed), 0, len(raw))
    assert sections.section(raw, packed, "HEADER") + sections.section(raw, packed, "TEXT") == raw
    for numbers, part in walk(parts.unpack(packed)):
        name = ".".join(map(str, numbers))
        if part.wraps_message:
            whole = sections.section(raw, packed, f"{name}.HEADER") + sections.section(raw, packed, f"{name}.TEXT")
            assert whole == raw[part.body_start : part.end]
        elif not part.is_multipart:
            whole = sections.section(raw, packed, f"{name}.MIME") + sections.section(raw, packed, name)
            assert whole == raw[part.header_start : part.end]


@settings(max_examples=150, deadline=None)
@given(_trees)
def test_bodystructure_tells_the_same_tree(tree):
    raw = written(tree, [0])
    summary = summarize(raw)
    assert shape(grammar.structure(summary.structure)) == shape(grammar.structure(sections.body(summary.structure), extended=False))
    assert shape(grammar.structure(summary.structure)) == from_parts(parts.unpack(summary.parts))
    grammar.envelope(summary.envelope)


def shape(body):
    return (body[0].decode(), [shape(child) for child in body[1]]) if isinstance(body[1], list) else leaf_shape(*body)


def leaf_shape(kind, octets, lines, inner):
    return (kind.decode(), octets, lines, shape(inner) if inner else None)


def from_parts(part: Part):
    if part.is_multipart:
        return (part.type, [from_parts(child) for child in part.children])
    lines = part.lines if part.type.startswith("text/") or part.wraps_message else None
    return (part.type, part.end - part.body_start, lines, from_parts(part.children[0]) if part.wraps_message else None)
