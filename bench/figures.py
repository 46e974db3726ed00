"""What was measured: samples of both sides, their medians, the ratio and the aim.

A ratio above 1 always means that Postroom does better, whether the figure is a rate (more is better) or a time (less is better).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

RATE_UNITS = frozenset({"/s", "MB/s"})


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured on one or both sides; samples are in `unit`."""

    name: str
    unit: str
    ours: tuple[float, ...] = ()
    peer: tuple[float, ...] = ()
    least_ratio: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def more_is_better(self) -> bool:
        """Say whether this figure is a rate."""
        return self.unit in RATE_UNITS

    @property
    def ratio(self) -> float | None:
        """Give how many times better ours is, or None when a side is missing."""
        ours, peer = median(self.ours), median(self.peer)
        if not ours or not peer:
            return None
        return ours / peer if self.more_is_better else peer / ours

    @property
    def reached(self) -> bool | None:
        """Say whether the aim is met; None when there is none or nothing was measured."""
        if self.most is not None and self.ours:
            return (median(self.ours) or 0.0) <= self.most
        if self.least_ratio is not None and self.ratio is not None:
            return self.ratio >= self.least_ratio
        return None


@dataclass(slots=True)
class Part:
    """The figures of one part, with what a reader must know to judge them."""

    name: str
    peer: str
    rules: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def median(samples: Sequence[float]) -> float | None:
    """Give the median of the samples, or None when there are none."""
    return statistics.median(samples) if samples else None


def pair(name: str, unit: str, sides: tuple[Sequence[float], Sequence[float]], **aim: Any) -> Figure:
    """Make a figure of (ours, peer) samples."""
    return Figure(name, unit, tuple(sides[0]), tuple(sides[1]), **aim)


def table(part: Part) -> str:
    """Render a part as lines of aligned text."""
    rows = [("", "Postroom", part.peer, "ratio", "aim", "")]
    rows += [_row(figure) for figure in part.figures]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    lines = [f"\n== {part.name} =="] + [f"   {rule}" for rule in part.rules]
    lines += [_line(row, widths) for row in rows]
    return "\n".join(lines + [f"   skipped: {reason}" for reason in part.skipped])


def _line(row: tuple[str, ...], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:5], widths[1:5], strict=True)]
    return "  ".join([*cells, row[5]]).rstrip()


def _row(figure: Figure) -> tuple[str, str, str, str, str, str]:
    ratio = figure.ratio
    verdict = {True: "reached", False: "SHORT", None: ""}[figure.reached]
    return (
        figure.name,
        quantity(median(figure.ours), figure.unit),
        quantity(median(figure.peer), figure.unit),
        f"{ratio:.2f}x" if ratio else "-",
        _aim(figure),
        " ".join(word for word in (verdict, figure.note) if word),
    )


def _aim(figure: Figure) -> str:
    if figure.most is not None:
        return f"<= {quantity(figure.most, figure.unit)}"
    return f">= {figure.least_ratio:g}x" if figure.least_ratio else "-"


def quantity(value: float | None, unit: str) -> str:
    """Write a value with its unit, three digits or so."""
    if value is None:
        return "-"
    if unit == "s" and value < 0.1:
        value, unit = value * 1000, "ms"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}" if not unit.startswith("/") else f"{value:,.{digits}f}{unit}"


def document(parts: Iterable[Part], machine: dict[str, str]) -> dict[str, Any]:
    """Give everything measured as plain data for JSON."""
    return {"machine": machine, "parts": [_part(part) for part in parts]}


def _part(part: Part) -> dict[str, Any]:
    figures = [
        {
            "name": figure.name,
            "unit": figure.unit,
            "postroom": median(figure.ours),
            "peer": median(figure.peer),
            "ratio": figure.ratio,
            "reached": figure.reached,
            "samples": {"postroom": figure.ours, "peer": figure.peer},
            "note": figure.note,
        }
        for figure in part.figures
    ]
    return {"name": part.name, "peer": part.peer, "rules": part.rules, "figures": figures, "skipped": part.skipped}
