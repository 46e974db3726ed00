"""Message flags as bits of one integer.

The five system flags have fixed bits; bits 6 to 61 are the keywords of a mailbox, whose names
`mailbox.keywords` knows. One integer a message keeps a STORE over a large folder a single statement.
"""

from enum import IntFlag


class Flag(IntFlag):
    """The system flags (RFC 9051 §2.3.2)."""

    SEEN = 1
    ANSWERED = 2
    FLAGGED = 4
    DELETED = 8
    DRAFT = 16


SYSTEM_MASK = 0x1F
KEYWORD_BITS = range(6, 62)
