"""From charts to what the page's script draws: each figure in light and dark, with its phone layout."""

from __future__ import annotations

import json
from collections.abc import Sequence

from floe_pipeline.report.chart import Chart
from floe_pipeline.report.theme import PALETTES


def figures_json(charts: Sequence[Chart]) -> str:
    """All figures as JSON that is safe inside a script element.

    Returns:
        `{chart id: {"light" | "dark": {"data": [...], "layout": {...}, "narrow": {...}}}}`.
    """
    figures = {
        chart.id: {
            palette.name: {
                **_without_template(chart.draw(palette).to_json()),
                "narrow": chart.narrow(palette),
            }
            for palette in PALETTES
        }
        for chart in charts
    }
    # "</script>" or "<!--" in a label must not end the element that carries it.
    return json.dumps(figures, separators=(",", ":")).replace("<", "\\u003c")


def _without_template(figure: str) -> dict[str, object]:
    """Plotly's default template repeats 7 kB in every figure and is overridden by `styled` anyway."""
    document: dict[str, object] = json.loads(figure)
    layout = document["layout"]
    assert isinstance(layout, dict)
    layout.pop("template", None)
    return {"data": document["data"], "layout": layout}
