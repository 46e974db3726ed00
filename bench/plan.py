"""What a run is asked to do: which sides, how often, how much, and where the data lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the bench."""

    folder: Path
    ours: bool = True
    peers: bool = True
    runs: int = 3
    quick: bool = False

    def amount(self, full: int, quick: int) -> int:
        """Choose between the full amount and the quick one."""
        return quick if self.quick else full
