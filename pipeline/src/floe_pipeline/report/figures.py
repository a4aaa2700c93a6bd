"""From charts to what the page's script draws: each figure in light and dark, with its phone layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from floe_pipeline.report.chart import Chart
from floe_pipeline.report.lineage import lineage_chart, read_lineage
from floe_pipeline.report.theme import PALETTES
from floe_pipeline.report.trace import read_trace, trace_chart


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


def run_charts(
    traces_file: Path | None, trace_id: str | None, lineage_file: Path | None
) -> tuple[Chart | None, Chart | None]:
    """The waterfall and the lineage graph, each None when the run left nothing to draw."""
    spans = read_trace(traces_file, trace_id) if traces_file and trace_id else []
    lineage = read_lineage(lineage_file) if lineage_file else None
    return (
        trace_chart(spans) if spans else None,
        lineage_chart(lineage) if lineage and lineage.edges else None,
    )


def _without_template(figure: str) -> dict[str, object]:
    """Plotly's default template repeats 7 kB in every figure and is overridden by `styled` anyway."""
    document: dict[str, object] = json.loads(figure)
    layout = document["layout"]
    assert isinstance(layout, dict)
    layout.pop("template", None)
    return {"data": document["data"], "layout": layout}
