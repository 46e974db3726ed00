"""Distinguished names: compared, and put together from what is not trusted (RFC 4514)."""

import re

_ESCAPE = re.compile(r"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)
_RDN_END = re.compile(r"(?:[^,;\\]|\\.)*", re.DOTALL)
_AVA_END = re.compile(r"(?:[^+\\]|\\.)*", re.DOTALL)
_PLAIN_RDN_END = re.compile(r"[,;]")
LONGEST = 4096


def escape(value: str) -> str:
    """Make a text safe to stand as a value in a distinguished name (RFC 4514 §2.4)."""
    text = re.sub(r'[,+"\\<>;=\x00]', lambda found: f"\\{ord(found[0]):02x}", value)
    text = re.sub(r"\A[ #]", lambda found: f"\\{ord(found[0]):02x}", text)
    return re.sub(r" \Z", r"\\20", text)


def key(name: str) -> str:
    """Give what two spellings of one distinguished name have in common: case, spaces and escapes do not count.

    Values are compared as texts without regard to case, as those of the usual naming attributes are.
    """
    if len(name) > LONGEST:
        return name
    if "\\" not in name:  # as most are, of which a directory has very many
        return "\x1f".join("\x1e".join(sorted(map(_pair, rdn.split("+")))) for rdn in _PLAIN_RDN_END.split(name))
    return "\x1f".join("\x1e".join(sorted(_pair(ava) for ava in _split(rdn, _AVA_END))) for rdn in _split(name, _RDN_END))


def _split(text: str, until: re.Pattern[str]) -> list[str]:
    pieces, at = [], 0
    while at <= len(text):
        found = until.match(text, at)
        end = found.end() if found else len(text)
        if end < len(text) and text[end] == "\\":
            end = len(text)
        pieces.append(text[at:end])
        at = end + 1
    return pieces


def _pair(ava: str) -> str:
    kind, _, value = ava.partition("=")
    return f"{kind.strip().casefold()}={' '.join(_plain(value).split()).casefold()}"


def _plain(value: str) -> str:
    if "\\" not in value:
        return value
    octets, at = b"", 0
    for found in _ESCAPE.finditer(value):
        octets += value[at : found.start()].encode() + (bytes.fromhex(found[1]) if len(found[1]) == 2 else found[1].encode())
        at = found.end()
    return (octets + value[at:].encode()).decode(errors="replace")
