"""Every odd letter answers as recorded, and as Dovecot 2.3 does, except where we mean to differ."""

import json
import re

import pytest

from tests.formats.letters import LETTERS
from tests.formats.record import GOLDEN, SECTIONS, ours

GOLDEN_OURS = json.loads((GOLDEN / "letters.json").read_text())
GOLDEN_DOVECOT = json.loads((GOLDEN / "dovecot.json").read_text())

HALF_ADDRESS = "a missing half of an address is empty here (RFC 9051 keeps NIL for groups), there MISSING_MAILBOX or MISSING_DOMAIN"
BROKEN_LIST = "an address cut short, or after a stray ; or , is still read here"
FIRST_WINS = "of two Subject fields the first counts here, the last there"
BLANKS = "blanks before a value go here; runs of blanks, tabs and stray CR inside stay, which one space replaces there"
CASE = "types, encodings, dispositions and parameter names are lower case here, as sent there"
NO_TYPE = "a broken Content-Type means text/plain (RFC 2045 §5.2), there an empty type"
PARAMETERS = "a parameter without a value drops only itself here, continued ones stay as sent (RFC 2231 is the client's)"
ENCODING = "an unknown encoding is shown, and one with a comment understood; there both are 7bit"
UNTYPED = "content fields count without a Content-Type, too"
NO_DELIMITER = "a multipart without delimiters shows its body as one text part, there an empty one"
ENCODED_MESSAGE = "a base64 message/rfc822 is no readable message, so a leaf here (RFC 2046 §5.2.1); there its base64 is read as a header"
GLOBAL = "HEADER and TEXT of a message/global can be asked for"
EMPTY_LINE = "HEADER.FIELDS always ends in an empty line"
LINE_ENDS = "bytes are served as they were stored; there bare LF becomes CRLF on the way out"
PREFIX = "the line end before a delimiter belongs to the delimiter, even when another boundary is its prefix"
EMPTY_PART = "the header of an empty part is kept whole"

DIFFERENCES = {
    ("no empty line", "sections"): EMPTY_LINE,
    ("address no domain", "envelope"): HALF_ADDRESS,
    ("address empty", "envelope"): HALF_ADDRESS,
    ("address extra commas", "envelope"): HALF_ADDRESS,
    ("address just words", "envelope"): HALF_ADDRESS,
    ("address unclosed", "envelope"): BROKEN_LIST,
    ("address semicolons", "envelope"): BROKEN_LIST,
    ("subject twice", "envelope"): FIRST_WINS,
    ("subject folded", "envelope"): BLANKS,
    ("references and ids", "envelope"): BLANKS,
    ("bare CR", "envelope"): BLANKS,
    ("tab in subject", "envelope"): BLANKS,
    ("type params", "bodystructure"): CASE,
    ("type application", "bodystructure"): CASE,
    ("all extensions", "bodystructure"): CASE,
    ("type broken", "bodystructure"): NO_TYPE,
    ("type empty", "bodystructure"): NO_TYPE,
    ("type param without value", "bodystructure"): PARAMETERS,
    ("type continued params", "bodystructure"): PARAMETERS,
    ("encoding comment", "bodystructure"): ENCODING,
    ("encoding unknown", "bodystructure"): ENCODING,
    ("disposition no params", "bodystructure"): UNTYPED,
    ("description 8-bit", "bodystructure"): UNTYPED,
    ("no delimiter", "bodystructure"): NO_DELIMITER,
    ("no delimiter", "sections"): NO_DELIMITER,
    ("no boundary", "bodystructure"): NO_DELIMITER,
    ("no boundary", "sections"): NO_DELIMITER,
    ("empty boundary", "bodystructure"): NO_DELIMITER,
    ("empty boundary", "sections"): NO_DELIMITER,
    ("closing only", "bodystructure"): NO_DELIMITER,
    ("closing only", "sections"): NO_DELIMITER,
    ("empty parts", "sections"): EMPTY_PART,
    ("rfc822 empty", "sections"): EMPTY_PART,
    ("part header without empty line", "sections"): EMPTY_PART,
    ("boundary prefix", "sections"): PREFIX,
    ("boundary prefix outside", "sections"): PREFIX,
    ("same boundary inside", "sections"): PREFIX,
    ("rfc822 base64", "bodystructure"): ENCODED_MESSAGE,
    ("rfc822 base64", "sections"): ENCODED_MESSAGE,
    ("message global", "sections"): GLOBAL,
    ("bare LF", "sections"): LINE_ENDS,
    ("bare LF plain", "bodystructure"): LINE_ENDS,
    ("bare LF plain", "sections"): LINE_ENDS,
    ("mixed line ends", "sections"): LINE_ENDS,
}


@pytest.mark.parametrize("name", LETTERS)
def test_as_recorded(name):
    assert ours(LETTERS[name]) == GOLDEN_OURS[name]


def test_no_golden_answer_is_left_over():
    assert set(GOLDEN_OURS) == set(LETTERS)
    assert set(GOLDEN_DOVECOT) <= set(LETTERS)
    assert {name for name, _ in DIFFERENCES} <= set(GOLDEN_DOVECOT)


@pytest.mark.parametrize("name", GOLDEN_DOVECOT)
@pytest.mark.parametrize("what", ["envelope", "bodystructure", "sections"])
def test_as_dovecot_unless_meant(name, what):
    mine, theirs = ours(LETTERS[name])[what], GOLDEN_DOVECOT[name][what]
    same = _sections_agree(mine, theirs) if what == "sections" else _values(mine) == _values(theirs)
    assert same is ((name, what) not in DIFFERENCES)


@pytest.mark.parametrize("name", GOLDEN_DOVECOT)
def test_body_differs_only_where_bodystructure_does(name):
    if (name, "bodystructure") not in DIFFERENCES:
        assert _values(ours(LETTERS[name])["body"]) == _values(GOLDEN_DOVECOT[name]["body"])


def _sections_agree(mine, theirs):
    """Compare sections; Dovecot also answers "part 1" of any leaf with the leaf itself, which no RFC asks for."""
    for spec in SECTIONS:
        parent = re.sub(r"\.1(?=$|\.MIME$)", "", spec)
        if spec not in mine and spec != parent and theirs.get(spec) == theirs.get(parent):
            continue
        if mine.get(spec) != theirs.get(spec):
            return False
    return True


_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"|\{(\d+)\}\r\n|([^"{])', re.DOTALL)


def _values(rendered):
    """List what a rendered answer says, whether its strings are quoted or literals."""
    out, at = [], 0
    while at < len(rendered):
        match = _VALUE.match(rendered, at)
        at = match.end()
        if match[2]:
            out.append(("string", rendered[at : at + int(match[2])]))
            at += int(match[2])
        elif match[3]:
            out.append(match[3])
        else:
            out.append(("string", re.sub(r"\\(.)", r"\1", match[1])))
    return out
