"""The chart of how fast questions were answered: from the cache, and past it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from floe_pipeline.report.answers import Answer, median_ms
from floe_pipeline.report.chart import Chart, styled
from floe_pipeline.report.theme import Palette

ROW_HEIGHT: Final = 30  # pixels, as is the next
LOWEST: Final = 220


def answers_chart(answers: Sequence[Answer]) -> Chart:
    """Two dots a question, with a line from one to the other.

    Args:
        answers: At least one.
    """
    shown = sorted(answers, key=lambda answer: -statistics.median(answer.uncached))
    names = [answer.question for answer in shown]
    cached = [statistics.median(answer.cached) for answer in shown]
    uncached = [statistics.median(answer.uncached) for answer in shown]
    of_all = [
        median_ms(answer.cached for answer in answers),
        median_ms(answer.uncached for answer in answers),
    ]

    def dots(name: str, times: Sequence[float], colour: str, sides: Sequence[str]) -> go.Scatter:
        return go.Scatter(
            name=name,
            x=times,
            y=names,
            mode="markers+text",
            marker={"color": colour, "size": 12},
            text=[f"{time:.1f}" for time in times],
            textposition=list(sides),
            textfont={"size": 11, "color": colour},
            customdata=[answer.rows for answer in shown],
            hovertemplate=f"<b>%{{y}}</b><br>{name}: %{{x:.1f}} ms, %{{customdata:,}} rows<extra></extra>",
        )

    def draw(palette: Palette) -> go.Figure:
        ways = [value for pair in zip(cached, uncached, strict=True) for value in (*pair, None)]
        figure = go.Figure(
            [
                go.Scatter(
                    x=ways,
                    y=[name for name in names for _ in range(3)],
                    mode="lines",
                    line={"color": palette.soft, "width": 3},
                    hoverinfo="skip",
                    showlegend=False,
                ),
                dots("from the cache", cached, palette.series[1], ["middle left"] * len(shown)),
                dots("past every cache", uncached, palette.accent, ["middle right"] * len(shown)),
            ]
        )
        return styled(
            figure,
            palette,
            height=max(LOWEST, ROW_HEIGHT * len(shown) + 110),
            showlegend=True,
            legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "font": {"size": 12},
                    "itemclick": False, "itemdoubleclick": False},
            xaxis={"rangemode": "tozero", "range": [-0.08 * max(uncached), 1.12 * max(uncached)],
                   "ticksuffix": " ms", "nticks": 8},
            yaxis={"autorange": "reversed", "showgrid": False},
        )  # fmt: skip

    times = len(shown[0].uncached)
    return Chart(
        "answers",
        f"An answer takes {of_all[0]:.0f} ms from Cube's cache and {of_all[1]:.0f} ms past it",
        f"The questions of this page over REST and a port-forward; medians of {times}, milliseconds",
        f"A row for each of {len(shown)} questions, the slowest first. "
        + " ".join(
            f"{name}: {fast:.1f} ms from the cache, {slow:.1f} ms past it."
            for name, fast, slow in zip(names, cached, uncached, strict=True)
        ),
        draw,
        narrow=lambda _: {"yaxis.tickfont.size": 10, "xaxis.nticks": 4},
        wide=True,
    )
