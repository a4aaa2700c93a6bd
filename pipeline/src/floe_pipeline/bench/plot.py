"""The bench as one offline page: cost by size, a day of cycles, files and objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from floe_pipeline.bench.day import Day
from floe_pipeline.bench.sizes import Size
from floe_pipeline.report.theme import FONT, LIGHT


def write_plot(path: Path, sizes: Sequence[Size], day: Day) -> None:
    """Draw what was measured.

    Raises:
        ImportError: The packages of the extra `report` are not installed.
        OSError: The file cannot be written.
    """
    import plotly.graph_objects as go  # noqa: PLC0415 - an optional package
    from plotly.subplots import make_subplots  # noqa: PLC0415

    blue, green, violet, amber, *_ = LIGHT.series
    figure = make_subplots(
        rows=3,
        cols=1,
        vertical_spacing=0.1,
        subplot_titles=(
            "Cost by size of the batch, and of a cycle on top of that history",
            f"{len(day.cycles)} cycles in a row",
            "Files before and after each maintenance",
        ),
    )

    def line(
        row: int, name: str, x: Sequence[float], y: Sequence[float], colour: str, **style: object
    ) -> None:
        legend = "legend" if row == 1 else f"legend{row}"  # each chart explains its own lines
        trace = go.Scatter(
            x=list(x),
            y=list(y),
            name=name,
            mode="lines+markers",
            line={"color": colour, **style},
            legend=legend,
        )
        figure.add_trace(trace, row=row, col=1)

    orders = [size.orders for size in sizes]
    line(1, "append", orders, [size.seed.append for size in sizes], green)
    line(1, "transform", orders, [size.seed.transform for size in sizes], violet)
    line(1, "both", orders, [size.seed.total for size in sizes], blue)
    line(1, "a cycle on top", orders, [size.cycle.total for size in sizes], amber, dash="dot")
    numbers = range(1, len(day.cycles) + 1)
    line(2, "cycle", numbers, [cycle.total for cycle in day.cycles], blue)
    line(2, "of it CPU", numbers, [cycle.cpu for cycle in day.cycles], amber)
    at = [each.cycle for each in day.upkeep]
    line(3, "objects before", at, [each.objects_before for each in day.upkeep], violet, dash="dot")
    line(3, "objects after", at, [each.objects_after for each in day.upkeep], violet)
    line(3, "live files before", at, [each.live_before for each in day.upkeep], green, dash="dot")
    line(3, "live files after", at, [each.live_after for each in day.upkeep], green)

    figure.update_xaxes(type="log", title="orders", row=1, col=1)
    figure.update_yaxes(type="log", title="seconds", row=1, col=1)
    figure.update_xaxes(title="cycle", row=2, col=1)
    figure.update_yaxes(title="seconds", rangemode="tozero", row=2, col=1)
    figure.update_xaxes(title="cycle", row=3, col=1)
    figure.update_yaxes(title="files", rangemode="tozero", row=3, col=1)
    figure.update_layout(
        title="floe bench",
        height=1200,
        font={"family": FONT, "color": LIGHT.ink},
        paper_bgcolor=LIGHT.card,
        plot_bgcolor=LIGHT.card,
        template="plotly_white",
        **{
            legend: {"y": top, "yanchor": "top"}
            for legend, top in (("legend", 1.0), ("legend2", 0.64), ("legend3", 0.27))
        },
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.write_html(path, include_plotlyjs=True)
