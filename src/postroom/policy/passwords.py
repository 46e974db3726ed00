"""Passwords: what is allowed as one, and how one is kept.

argon2id with 7 MiB, five passes and one lane: of the settings that OWASP's Password Storage Cheat Sheet holds to be of equal strength
the one that fits a processor's cache best, and takes the least time and memory where several are at it. It releases the
interpreter while it works; `HASHING` has two threads for it, so that a crowd signing in takes at most two cores and 14 MiB, and
waits in line. Whoever hashes or verifies for a waiting client does so there.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import argon2

from postroom.model import errors

LANES: Final = 2
HASHING: Final = ThreadPoolExecutor(LANES, thread_name_prefix="hashing")
_HASHER: Final = argon2.PasswordHasher(time_cost=5, memory_cost=7168, parallelism=1, type=argon2.Type.ID)

SHORTEST: Final = 8
LONGEST: Final = 63
KINDS_NEEDED: Final = 3

NOBODYS: Final = "$argon2id$v=19$m=7168,t=5,p=1$bm9ib2R5J3Mgc2FsdCE$qVv2UjsQ1NDxo3ODR2QS0yc3xGcJx2Dk9y1mYbI1xQo"
"""A hash of the same cost as any, to check for users who are not there."""


def start() -> None:
    """Start the hashing threads now, rather than when the first is needed."""
    together = threading.Barrier(LANES)
    for started in [HASHING.submit(together.wait) for _ in range(LANES)]:
        started.result()


def hash(password: str) -> str:
    """Make the text to keep of a password; takes tens of milliseconds."""
    return _HASHER.hash(password)


def verify(stored: str, password: str) -> bool:
    """Say whether a password is the one kept; takes tens of milliseconds."""
    try:
        return _HASHER.verify(stored, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError, UnicodeEncodeError):
        return False


def check_rules(password: str) -> None:
    """Raise `InvalidPassword` for what the directory does not allow (WorkMail administration: user passwords).

    8 to 63 characters of Latin-1, of at least three kinds: upper case, lower case, digits, specials, Latin-1 letters.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise errors.InvalidPassword(f"Password must have {SHORTEST} to {LONGEST} characters.")
    if not all(" " <= character <= "\xff" and not "\x7f" <= character <= "\x9f" for character in password):
        raise errors.InvalidPassword("Password contains characters outside Latin-1.")
    if len({_kind(character) for character in password}) < KINDS_NEEDED:
        raise errors.InvalidPassword(f"Password does not contain characters from at least {KINDS_NEEDED} complexity categories")


def _kind(character: str) -> str:
    if character.isascii():
        if character.isalpha():
            return "upper" if character.isupper() else "lower"
        return "digit" if character.isdigit() else "special"
    return "latin" if character.isalpha() else "special"
