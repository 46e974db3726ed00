"""How tests compare a value with a key: comparators and match types (RFC 5228 §2.7, RFC 4790, RFC 5231).

`:matches` never goes back over what it has matched: what stands between two stars is found at the first place where it stands, so the
time is that of searching each piece once. A `?` makes the search for its piece slower; `cost` says by how much, before it is done.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import takewhile
from operator import eq, ge, gt, le, lt, ne
from typing import Any

_FOLD = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {"gt": gt, "ge": ge, "lt": lt, "le": le, "eq": eq, "ne": ne}
UNIT = 256
"""Characters that are compared at the cost of one step."""
_WILD = re.compile(r"\\(.)|([*?])|([^\\*?]+)|\\$", re.DOTALL)

Piece = tuple[str, ...]
"""Characters in a row; '' stands for any one."""


def fold(text: str, comparator: str) -> str:
    """Spell text as a comparator sees it; i;ascii-casemap folds ASCII letters alone (RFC 4790 §9.2)."""
    return text.translate(_FOLD) if comparator == "i;ascii-casemap" else text


def number(text: str) -> float:
    """Read a number as i;ascii-numeric does: text that begins with no digit is the largest of all (RFC 4790 §9.1)."""
    digits = "".join(takewhile(lambda letter: letter in "0123456789", text[:4000]))
    return float(digits[:300]) if digits else float("inf")


def relates(value: str, relation: str, key: str, comparator: str) -> bool:
    """Compare by order (RFC 5231 §4)."""
    relate = _RELATIONS[relation.lower()]
    if comparator == "i;ascii-numeric":
        return relate(number(value), number(key))
    return relate(fold(value, comparator).encode("utf-8", "replace"), fold(key, comparator).encode("utf-8", "replace"))


def equals(value: str, key: str, comparator: str) -> bool:
    """Compare by `:is`."""
    if comparator == "i;ascii-numeric":
        return number(value) == number(key)
    return fold(value, comparator) == fold(key, comparator)


def contains(value: str, key: str, comparator: str) -> bool:
    """Compare by `:contains`."""
    return fold(key, comparator) in fold(value, comparator)


def cost(value: str, key: str, match: str) -> int:
    """Tell how many steps a comparison takes at most."""
    length = len(value) + len(key)
    if match == "matches" and "?" in key:
        length += len(value) * min(len(key), len(value)) // 4
    return 1 + length // UNIT


def matches(value: str, pattern: str, comparator: str) -> list[str] | None:
    """Compare by `:matches`; gives what the whole and each wildcard stand for, or None (RFC 5229 §3.2)."""
    pieces = _pieces(fold(pattern, comparator))
    folded = fold(value, comparator)
    found: list[str] = [value]
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return found + _wilds(value, 0, first) if len(folded) == len(first) and _fits(folded, 0, first) else None
    if len(first) + len(last) > len(folded) or not _fits(folded, 0, first) or not _fits(folded, len(folded) - len(last), last):
        return None
    found += _wilds(value, 0, first)
    at, stop = len(first), len(folded) - len(last)
    for piece in pieces[1:-1]:
        begin = _find(folded, at, stop, piece)
        if begin < 0:
            return None
        found.append(value[at:begin])
        found += _wilds(value, begin, piece)
        at = begin + len(piece)
    return [*found, value[at:stop], *_wilds(value, stop, last)]


@lru_cache(maxsize=512)
def _pieces(pattern: str) -> tuple[Piece, ...]:
    """Cut a pattern at its stars."""
    pieces: list[list[str]] = [[]]
    for match in _WILD.finditer(pattern):
        escaped, wild, plain = match.groups()
        if wild == "*":
            pieces.append([])
        elif wild:
            pieces[-1].append("")
        else:
            pieces[-1].extend(escaped or plain or "\\")
    return tuple(map(tuple, pieces))


def _fits(text: str, at: int, piece: Piece) -> bool:
    return all(not letter or text[at + offset] == letter for offset, letter in enumerate(piece))


def _find(text: str, at: int, stop: int, piece: Piece) -> int:
    if "" not in piece:
        return text.find("".join(piece), at, stop)
    if not any(piece):
        return at if at + len(piece) <= stop else -1
    match = _search(piece).search(text, at, stop)
    return match.start() if match else -1


@lru_cache(maxsize=512)
def _search(piece: Piece) -> re.Pattern[str]:
    return re.compile("".join(re.escape(letter) if letter else "." for letter in piece), re.DOTALL)


def _wilds(value: str, at: int, piece: Piece) -> list[str]:
    return [value[at + offset] for offset, letter in enumerate(piece) if not letter]
