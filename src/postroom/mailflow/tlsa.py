"""TLSA records: which certificate or key a server is to have (RFC 6698 §2.1)."""

from dataclasses import dataclass

AUTHORITY, END_ENTITY = 2, 3
_LENGTHS = {1: 32, 2: 64}


@dataclass(frozen=True, slots=True)
class Tlsa:
    """A TLSA record."""

    usage: int
    selector: int
    matching: int
    data: bytes

    @property
    def usable(self) -> bool:
        """Say whether SMTP can make use of it."""
        sized = bool(self.data) if self.matching == 0 else len(self.data) == _LENGTHS.get(self.matching)
        return self.usage in {AUTHORITY, END_ENTITY} and self.selector in {0, 1} and sized

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"
