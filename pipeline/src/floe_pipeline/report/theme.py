"""The colours and the typeface of the page's charts: one palette for light, one for dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FONT: Final = 'Inter, "Segoe UI", system-ui, -apple-system, "Helvetica Neue", "DejaVu Sans", sans-serif'


@dataclass(frozen=True)
class Palette:
    """Colours by role; each pair of text and ground has a contrast of 4.5 or more (WCAG AA)."""

    name: str
    ink: str
    muted: str
    grid: str
    card: str
    accent: str
    soft: str  # the accent, stepped back: context beside what is pointed at
    warm: str  # what is pointed at
    series: tuple[str, ...]
    ramp: tuple[tuple[float, str], ...]  # few to many


LIGHT: Final = Palette(
    name="light",
    ink="#10212f",
    muted="#566675",
    grid="#e4eaef",
    card="#ffffff",
    accent="#0b76a3",
    soft="#a9d3e6",
    warm="#d4561f",
    series=("#0b76a3", "#2a9d8f", "#7a5cc2", "#c98a1b", "#d4561f", "#7b8b99"),
    ramp=((0.0, "#eef6fa"), (0.25, "#b9dcec"), (0.5, "#62b0d2"), (0.75, "#1c7ea9"), (1.0, "#08384e")),
)
DARK: Final = Palette(
    name="dark",
    ink="#e8f0f6",
    muted="#9fb2c2",
    grid="#26364a",
    card="#121d2b",
    accent="#56bde6",
    soft="#2b5f7a",
    warm="#ff9a5c",
    series=("#56bde6", "#4fd1bd", "#b09af5", "#f0c05a", "#ff9a5c", "#8496a6"),
    ramp=((0.0, "#16263a"), (0.25, "#1d4560"), (0.5, "#2a7ca3"), (0.75, "#5cc0e8"), (1.0, "#d9f3ff")),
)
PALETTES: Final = (LIGHT, DARK)
