"""What one chart of the page is, and the layout that every figure shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from floe_pipeline.report.theme import FONT, Palette


@dataclass(frozen=True)
class Chart:
    """One chart of the page.

    Attributes:
        id: Anchor and element id.
        title: The finding, as a sentence.
        note: What is plotted, with units.
        alt: The chart in words.
        draw: Makes the figure in a palette's colours.
        narrow: Changes to the layout on a phone's width, by palette.
        wide: Whether it takes the page's full width.
    """

    id: str
    title: str
    note: str
    alt: str
    draw: Callable[[Palette], go.Figure]
    narrow: Callable[[Palette], dict[str, Any]] = field(default=lambda _: {})
    wide: bool = False


def styled(figure: go.Figure, palette: Palette, *, height: int = 300, **layout: object) -> go.Figure:
    """Give a figure the page's typography, calm axes and no chrome; `layout` overrides by plotly's names."""
    axis = {
        "gridcolor": palette.grid,
        "linecolor": palette.grid,
        "zeroline": False,
        "ticks": "",
        "fixedrange": True,  # a finger that scrolls the page must not zoom a chart
        "automargin": True,
        "tickfont": {"color": palette.muted, "size": 12},
        "title": {"font": {"color": palette.muted, "size": 12}, "standoff": 8},
    }
    shared: dict[str, Any] = {
        "height": height,
        "margin": {"l": 8, "r": 24, "t": 12, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 13, "color": palette.ink},
        "showlegend": False,
        "dragmode": False,
        "bargap": 0.28,
        "hoverlabel": {
            "bgcolor": palette.card,
            "bordercolor": palette.muted,
            "font": {"family": FONT, "size": 13, "color": palette.ink},
            "align": "left",
        },
        "xaxis": axis,
        "yaxis": axis,
    }
    for name, value in layout.items():
        known = shared.get(name)
        shared[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    figure.update_layout(**shared)  # once: plotly validates everything anew each time
    return figure


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`, down into what both have."""
    merged = {**below, **above}
    for name in below.keys() & above.keys():
        if isinstance(below[name], dict) and isinstance(above[name], dict):
            merged[name] = _merged(below[name], above[name])
    return merged


def faded(colour: str, opacity: float) -> str:
    """`#rrggbb` as an rgba() of the given opacity (0..1)."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"
