"""The commands, tests and tags of Sieve and of the extensions that are known here, as tables.

Each says which extension has to be required for it (''  none), what its arguments are, and what stands for one another: of
the tags of one group a command takes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

EXTENSIONS = (
    "body", "comparator-i;ascii-numeric", "comparator-i;ascii-casemap", "comparator-i;octet", "copy", "date", "editheader",
    "encoded-character", "envelope", "ereject", "fileinto", "imap4flags", "index", "mailbox", "reject", "relational", "special-use",
    "subaddress", "vacation", "vacation-seconds", "variables",
)  # fmt: skip
"""What `require` may name."""
IMPLIED = {"vacation-seconds": "vacation"}
"""What is required with something else (RFC 6131)."""

COMPARATORS = {"i;octet": "", "i;ascii-casemap": "", "i;ascii-numeric": "comparator-i;ascii-numeric"}
RELATIONS = ("gt", "ge", "lt", "le", "eq", "ne")
DATE_PARTS = (
    "year", "month", "day", "date", "julian", "hour", "minute", "second", "time", "iso8601", "std11", "zone", "weekday",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged argument: the group in which it stands, the kind of its value ('' none), and what it needs."""

    group: str
    kind: str = ""
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a command or a test is written with: kinds of the arguments without tags, of which the last or first may be missing.

    `tests` is the number of its tests, -1 for a list of them; `fixed` are the positions of strings in which no variable may stand.
    """

    words: tuple[str, ...] = ()
    tags: Mapping[str, Tag] = field(default_factory=dict)
    needs: str = ""
    least: int = -1
    tests: int = 0
    block: bool = False
    optional_first: bool = False


_MATCH = {
    "is": Tag("match"),
    "contains": Tag("match"),
    "matches": Tag("match"),
    "count": Tag("match", "string", "relational"),
    "value": Tag("match", "string", "relational"),
    "comparator": Tag("comparator", "string"),
}
_PART = {
    "all": Tag("part"),
    "localpart": Tag("part"),
    "domain": Tag("part"),
    "user": Tag("part", "", "subaddress"),
    "detail": Tag("part", "", "subaddress"),
}
_INDEX = {"index": Tag("index", "number", "index"), "last": Tag("last", "", "index")}
_FLAGS = {"flags": Tag("flags", "strings", "imap4flags")}
_ZONE = {"zone": Tag("zone", "string"), "originalzone": Tag("zone")}
_VACATION = {
    "days": Tag("time", "number"),
    "seconds": Tag("time", "number", "vacation-seconds"),
    "subject": Tag("subject", "string"),
    "from": Tag("from", "string"),
    "addresses": Tag("addresses", "strings"),
    "mime": Tag("mime"),
    "handle": Tag("handle", "string"),
}
MODIFIERS = {"length": 10, "quotewildcard": 20, "lowerfirst": 30, "upperfirst": 30, "lower": 40, "upper": 40}
"""Modifiers of `set` and their precedence: the highest is applied first (RFC 5229 §4.1)."""

COMMANDS: Mapping[str, Shape] = {
    "require": Shape(("strings",)),
    "if": Shape(tests=1, block=True),
    "elsif": Shape(tests=1, block=True),
    "else": Shape(block=True),
    "stop": Shape(),
    "keep": Shape(tags=_FLAGS),
    "discard": Shape(),
    "redirect": Shape(("string",), {"copy": Tag("copy", "", "copy")}),
    "fileinto": Shape(
        ("string",),
        {
            "copy": Tag("copy", "", "copy"),
            "create": Tag("create", "", "mailbox"),
            "specialuse": Tag("specialuse", "string", "special-use"),
            **_FLAGS,
        },
        "fileinto",
    ),
    "reject": Shape(("string",), needs="reject"),
    "ereject": Shape(("string",), needs="ereject"),
    "vacation": Shape(("string",), _VACATION, "vacation"),
    "set": Shape(("string", "string"), {name: Tag(f"modifier{rank}") for name, rank in MODIFIERS.items()}, "variables"),
    "setflag": Shape(("string", "strings"), needs="imap4flags", least=1, optional_first=True),
    "addflag": Shape(("string", "strings"), needs="imap4flags", least=1, optional_first=True),
    "removeflag": Shape(("string", "strings"), needs="imap4flags", least=1, optional_first=True),
    "addheader": Shape(("string", "string"), {"last": Tag("last")}, "editheader"),
    "deleteheader": Shape(
        ("string", "strings"), {**_MATCH, "index": Tag("index", "number"), "last": Tag("last")}, "editheader", least=1
    ),
}

TESTS: Mapping[str, Shape] = {
    "true": Shape(),
    "false": Shape(),
    "not": Shape(tests=1),
    "allof": Shape(tests=-1),
    "anyof": Shape(tests=-1),
    "exists": Shape(("strings",)),
    "size": Shape(("number",), {"over": Tag("limit"), "under": Tag("limit")}),
    "header": Shape(("strings", "strings"), {**_MATCH, **_INDEX}),
    "address": Shape(("strings", "strings"), {**_MATCH, **_PART, **_INDEX}),
    "envelope": Shape(("strings", "strings"), {**_MATCH, **_PART}, "envelope"),
    "body": Shape(
        ("strings",),
        {**_MATCH, "raw": Tag("transform"), "text": Tag("transform"), "content": Tag("transform", "strings")},
        "body",
    ),
    "string": Shape(("strings", "strings"), _MATCH, "variables"),
    "hasflag": Shape(("strings", "strings"), _MATCH, "imap4flags", least=1, optional_first=True),
    "date": Shape(("string", "string", "strings"), {**_MATCH, **_INDEX, **_ZONE}, "date"),
    "currentdate": Shape(("string", "strings"), {**_MATCH, "zone": Tag("zone", "string")}, "date"),
    "mailboxexists": Shape(("strings",), needs="mailbox"),
    "specialuse_exists": Shape(("string", "strings"), needs="special-use", least=1, optional_first=True),
}
