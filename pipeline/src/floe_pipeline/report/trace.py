"""The run's trace, drawn as a waterfall that shows where the time went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import plotly.graph_objects as go

from floe_pipeline.report.chart import Chart, styled
from floe_pipeline.report.spans import Span
from floe_pipeline.report.theme import Palette

MAX_ROWS: Final = 44  # more rows than this is a wall, not a picture
NOTABLE: Final = 0.02  # share of the run below which short spans are not worth a row
ROW_HEIGHT: Final = 23  # pixels, as are all lengths below
NAMES_WIDTH: Final = 290
INDENT: Final = 14
LETTER: Final = 6.4  # a letter of a label, about; the next two are how wide the bars' part of the chart is
PHONE_WIDTH: Final = 290
PAGE_WIDTH: Final = 740
KINDS: Final = (  # (what it is called, words in a span's name that tell it), the first match wins
    ("dbt test", ("test",)),
    ("dbt model", ("dbt", "model", "transform", "build")),
    ("catalog request", ("catalog.", "get ", "post ", "put ", "delete ", "head ")),
    ("Iceberg write", ("append", "commit", "publish", "iceberg", "maintain")),
    ("proof", ("verify", "check", "b1")),
)
OTHER: Final = "step"


@dataclass(frozen=True)
class Row:
    """One bar of the waterfall: a span, or the rest of a span's children taken together."""

    label: str
    kind: str
    depth: int
    start: float  # seconds from the trace's start
    end: float
    busy: float  # seconds worked in it: less than end - start for a gathering of short spans
    failed: bool = False


def waterfall_rows(spans: Sequence[Span], max_rows: int = MAX_ROWS) -> list[Row]:
    """Choose the longest spans, keep their order and nesting, and gather short siblings into one row.

    Args:
        spans: One trace's spans; a span whose parent is not among them counts as a root.
        max_rows: Spans shown singly. Gathered siblings get a row when together they took a notable time.

    Returns:
        Rows from top to bottom, a parent before its children.
    """
    ids = {span.span_id for span in spans}
    children: dict[str | None, list[Span]] = {}
    for span in spans:
        children.setdefault(span.parent_id if span.parent_id in ids else None, []).append(span)
    shown = {span.span_id for span in sorted(spans, key=lambda s: s.start_ns - s.end_ns)[:max_rows]}
    origin = min((span.start_ns for span in spans), default=0)
    whole = (max((span.end_ns for span in spans), default=0) - origin) / 1e9
    rows: list[Row] = []

    def walk(parent: str | None, depth: int) -> None:
        siblings = children.get(parent, [])
        for span in siblings:
            if span.span_id in shown:
                start, end = (span.start_ns - origin) / 1e9, (span.end_ns - origin) / 1e9
                failed = span.status == "ERROR"
                rows.append(Row(span.name, kind_of(span.name), depth, start, end, span.seconds, failed))
                walk(span.span_id, depth + 1)
        # A span left out leaves its whole branch out: its time already holds its children's.
        left_out = [span for span in siblings if span.span_id not in shown]
        if sum(span.seconds for span in left_out) > whole * NOTABLE:
            rows.append(_gathered(left_out, depth, origin))

    walk(None, 0)
    return rows


def kind_of(name: str) -> str:
    """What sort of work a span's name speaks of, for its colour."""
    lowered = f"{name.lower()} "
    return next((kind for kind, words in KINDS if any(word in lowered for word in words)), OTHER)


def _gathered(spans: Sequence[Span], depth: int, origin: int) -> Row:
    kinds = {kind_of(span.name) for span in spans}
    kind = kinds.pop() if len(kinds) == 1 else OTHER
    return Row(
        label=spans[0].name if len(spans) == 1 else f"{len(spans)} short {kind}s",
        kind=kind,
        depth=depth,
        start=(min(span.start_ns for span in spans) - origin) / 1e9,
        end=(max(span.end_ns for span in spans) - origin) / 1e9,
        busy=sum(span.seconds for span in spans),
        failed=any(span.status == "ERROR" for span in spans),
    )


def duration(seconds: float) -> str:
    """Seconds as people read them: `850 ms`, `3.2 s`, `2 min 5 s`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else "< 1 ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def trace_chart(spans: Sequence[Span]) -> Chart:
    """The waterfall of one trace.

    Raises:
        ValueError: There is no span to draw.
    """
    if not spans:
        raise ValueError("the trace holds no span")
    rows = waterfall_rows(spans)
    total = max(row.end for row in rows) or 1e-9
    height = ROW_HEIGHT * len(rows) + 76

    def draw(palette: Palette) -> go.Figure:
        colours = dict(zip([OTHER, *(kind for kind, _ in KINDS)], _colours(palette), strict=True))
        figure = go.Figure(
            [
                go.Bar(
                    name=kind,
                    orientation="h",
                    y=[at for at, row in enumerate(rows) if row.kind == kind],
                    base=[row.start for row in rows if row.kind == kind],
                    # A bar too short to see is drawn 0.25 % of the run wide; its label tells the truth.
                    x=[max(row.end - row.start, total * 0.0025) for row in rows if row.kind == kind],
                    marker={"color": colour, "cornerradius": 3},
                    customdata=[
                        (row.label, duration(row.busy), duration(row.start))
                        for row in rows
                        if row.kind == kind
                    ],
                    hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}, starting at %{customdata[2]}"
                    "<extra></extra>",
                )
                for kind, colour in colours.items()
                if any(row.kind == kind for row in rows)
            ]
        )
        return styled(
            figure,
            palette,
            height=height,
            barmode="overlay",
            bargap=0.3,
            showlegend=True,
            legend={"orientation": "h", "y": 1, "yref": "container", "yanchor": "top", "x": 0,
                    "font": {"size": 12}, "itemclick": False, "itemdoubleclick": False},
            margin={"l": NAMES_WIDTH, "r": 12, "t": 36, "b": 8},
            annotations=_names(rows, palette) + _durations(rows, total, palette),
            xaxis={"range": [0, total * 1.02], "ticksuffix": " s", "nticks": 9},
            yaxis={"range": [len(rows) - 0.4, -0.6], "showgrid": False, "showticklabels": False},
        )  # fmt: skip

    longest = sorted((row for row in rows if row.depth == 1), key=lambda row: -row.busy)[:3]
    return Chart(
        "trace",
        f"{len(spans):,} spans in {duration(total)}",
        "The run on one clock: its longest spans, and short ones gathered below their longer siblings",
        f"A waterfall of {len(rows)} rows. The longest steps: "
        + ", ".join(f"{row.label} {duration(row.busy)}" for row in longest)
        + ".",
        draw,
        narrow=lambda palette: {
            "margin.l": 8,
            "annotations": _durations(rows, total, palette, with_names=True),
            "xaxis.nticks": 4,
        },
        wide=True,
    )


def _colours(palette: Palette) -> Iterable[str]:
    blue, teal, violet, amber, _, grey = palette.series
    return (palette.soft, amber, violet, grey, blue, teal)


def _names(rows: Sequence[Row], palette: Palette) -> list[dict[str, object]]:
    """The rows' names in the left margin, indented by depth: axis labels could only be right-aligned."""
    return [
        {
            "xref": "paper", "x": 0, "xanchor": "left", "xshift": INDENT * row.depth - NAMES_WIDTH, "y": at,
            "text": _shortened(row.label, 40 - 2 * row.depth), "showarrow": False,
            "font": {"size": 12, "color": palette.ink if row.depth < 2 else palette.muted},
        }
        for at, row in enumerate(rows)
    ]  # fmt: skip


def _durations(
    rows: Sequence[Row], total: float, palette: Palette, *, with_names: bool = False
) -> list[dict[str, object]]:
    """How long each bar took, written on the side where there is room."""
    labels: list[dict[str, object]] = []
    for at, row in enumerate(rows):
        text = f"failed after {duration(row.busy)}" if row.failed else duration(row.busy)
        if with_names:
            text = f"{_shortened(row.label.removeprefix('dbt.model '), 26)} · {text}"
        room = total * len(text) * LETTER / (PHONE_WIDTH if with_names else PAGE_WIDTH)
        inside = row.kind == OTHER and row.end - row.start > room  # on the other colours it could not be read
        before = not inside and row.end + room > total and row.start > total - row.end
        labels.append(
            {
                "x": row.start if inside or before else row.end, "y": at, "text": text, "showarrow": False,
                "xanchor": "right" if before else "left", "xshift": -4 if before else 4,
                "font": {"size": 11, "color": palette.ink},
            }
        )  # fmt: skip
    return labels


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
