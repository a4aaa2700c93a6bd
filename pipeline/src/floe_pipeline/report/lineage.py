"""The lineage graph, drawn from bronze over staging to gold and to what uses it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Final

import plotly.graph_objects as go

from floe_pipeline.report.chart import Chart, faded, styled
from floe_pipeline.report.graph import LAYERS, Dataset, Lineage
from floe_pipeline.report.theme import Palette

MAX_COLUMNS: Final = 16  # listed on hover
BOX: Final = 0.1  # half of a box' width at most, and then the share of a column; the graph is 1 wide
BOX_OF_COLUMN: Final = 0.42
HALF_HEIGHT: Final = 0.25  # of a box; rows are 1 apart
CURVE: Final = 24  # points of an edge
MAX_TRIED: Final = 6  # datasets of a layer up to which every order is tried


def lineage_chart(lineage: Lineage) -> Chart:
    """The graph as a chart.

    Raises:
        ValueError: There is no edge to draw.
    """
    if not lineage.edges:
        raise ValueError("the lineage events hold no edge")
    places, box = _places(lineage), _box(lineage)
    rows = len({round(y) for _, y in places.values()})
    columns = sum(len(dataset.columns) for dataset in lineage.datasets.values())

    def draw(palette: Palette) -> go.Figure:
        amber, grey, teal, blue, violet = (palette.series[at] for at in (3, 5, 1, 0, 2))
        ground = dict(zip(LAYERS, (amber, grey, teal, blue, violet), strict=True))
        figure = go.Figure(
            [_edge(places[a], places[b], (a, b), box, palette) for a, b in sorted(lineage.edges)]
        )
        figure.add_trace(_hover_spots(lineage, places, box))
        for name, (x, y) in places.items():
            colour = ground[lineage.layer(name)]
            figure.add_shape(
                type="path",
                path=_rounded(x, y, box),
                fillcolor=palette.card,
                line={"color": colour, "width": 2},
                layer="above",
            )
            figure.add_shape(
                type="path",
                path=_rounded(x, y, box),
                fillcolor=faded(colour, 0.14),
                line={"width": 0},
                layer="above",
            )
        return styled(
            figure,
            palette,
            height=70 * rows + 56,
            annotations=_names(lineage, places, palette, size=13),
            hoverdistance=60,
            xaxis={"range": [0, 1], "visible": False},
            yaxis={"range": [-0.5, max(y for _, y in places.values()) + 0.75], "visible": False},
        )

    ends = sorted(name for name in lineage.datasets if lineage.layer(name) in {"gold", "cube"})
    used = " and the cubes that use them" if any(lineage.layer(end) == "cube" for end in ends) else ""
    return Chart(
        "lineage",
        f"{len(lineage.datasets)} datasets, {len(lineage.edges)} edges, {columns} columns",
        f"From bronze tables over views in memory to gold marts{used}; point at one for its columns' origin",
        "A graph from left to right. "
        + " ".join(
            f"{name} is made from {', '.join(sorted(a for a, b in lineage.edges if b == name))}."
            for name in ends
        ),
        draw,
        narrow=lambda palette: {"annotations": _names(lineage, places, palette, size=9, short=True)},
        wide=True,
    )


def _box(lineage: Lineage) -> float:
    """Half of a box' width: the more columns, the narrower, so that edges have their room."""
    return min(BOX, BOX_OF_COLUMN / len({lineage.layer(name) for name in lineage.datasets}))


def _places(lineage: Lineage) -> dict[str, tuple[float, float]]:
    """Where each dataset stands: a column a layer, ordered so that few edges cross."""
    columns = {
        layer: sorted((name for name in lineage.datasets if lineage.layer(name) == layer), key=lineage.depth)
        for layer in LAYERS
    }
    columns = {layer: names for layer, names in columns.items() if names}
    height = max(len(names) for names in columns.values())
    heights: dict[str, float] = {}

    def stand(layer: str) -> None:
        names = columns[layer]
        for at, name in enumerate(names):
            heights[name] = (height - len(names)) / 2 + len(names) - 1 - at

    for layer in columns:
        stand(layer)

    def travel(layer: str, names: tuple[str, ...]) -> tuple[float, tuple[str, ...]]:
        """How far edges go up and down; long ones weigh more, so that they pass between the boxes."""
        columns[layer] = list(names)
        stand(layer)
        across = {name: at for at, column in enumerate(columns.values()) for name in column}
        return sum(
            abs(heights[a] - heights[b]) * (across[b] - across[a]) ** 2 for a, b in lineage.edges
        ), names

    for layer in ("gold", "staging", "gold", "staging", "bronze", "cube"):
        names = tuple(sorted(columns.get(layer, ())))
        if 1 < len(names) <= MAX_TRIED:  # what lies in between stays in the order in which it is computed
            _, best = min(travel(layer, order) for order in permutations(names))
            travel(layer, best)
    left = _box(lineage) + 0.005
    right = 1 - left
    across = {
        layer: left + (right - left) * at / max(1, len(columns) - 1) for at, layer in enumerate(columns)
    }
    return {name: (across[layer], heights[name]) for layer, names in columns.items() for name in names}


def _edge(
    start: tuple[float, float],
    end: tuple[float, float],
    ends: tuple[str, str],
    box: float,
    palette: Palette,
) -> go.Scatter:
    """A smooth curve; the page's script finds an edge's ends in `meta` and lights it up on hover."""
    steps = [at / (CURVE - 1) for at in range(CURVE)]
    if start[0] == end[0]:  # in one column: straight down, or around what stands between
        down = 1 if start[1] > end[1] else -1
        y0, y1 = start[1] - down * HALF_HEIGHT, end[1] + down * HALF_HEIGHT
        bulge = 0.0 if abs(start[1] - end[1]) <= 1 else box * 1.22
        x = [start[0] - bulge * (1 - (2 * t - 1) ** 4) for t in steps]
        y = [y0 + (y1 - y0) * t for t in steps]
    else:
        x0, x1 = start[0] + box, end[0] - box
        x = [x0 + (x1 - x0) * t for t in steps]
        y = [start[1] + (end[1] - start[1]) * t * t * (3 - 2 * t) for t in steps]
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": palette.muted, "width": 2},
        opacity=0.55,
        hoverinfo="skip",
        meta=list(ends),
    )


def _hover_spots(lineage: Lineage, places: Mapping[str, tuple[float, float]], box: float) -> go.Scatter:
    """Unseen marks along every box, so that pointing anywhere at it tells its columns."""
    along = (-0.8, -0.4, 0, 0.4, 0.8)
    spots = [(name, x + shift * box, y) for name, (x, y) in places.items() for shift in along]
    return go.Scatter(
        x=[x for _, x, _ in spots],
        y=[y for _, _, y in spots],
        mode="markers",
        marker={"size": 34, "symbol": "square", "opacity": 0},
        customdata=[name for name, _, _ in spots],
        hovertext=[_columns_text(lineage.datasets[name]) for name, _, _ in spots],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _columns_text(dataset: Dataset) -> str:
    lines = [f"<b>{dataset.name}</b>"]
    for column, sources in list(dataset.columns.items())[:MAX_COLUMNS]:
        origin = ", ".join(source.removeprefix("bronze.").removeprefix("gold.") for source in sources[:3])
        lines.append(f"{column}  ←  {origin}" if origin else column)
    if len(dataset.columns) > MAX_COLUMNS:
        lines.append(f"and {len(dataset.columns) - MAX_COLUMNS} more")
    return "<br>".join(lines)


def _names(
    lineage: Lineage,
    places: Mapping[str, tuple[float, float]],
    palette: Palette,
    *,
    size: int,
    short: bool = False,
) -> list[dict[str, object]]:
    """The boxes' names and, above them, the layers'; short ones leave out what the layer says already."""

    def label(x: float, y: float, text: str, points: int, colour: str) -> dict[str, object]:
        return {"x": x, "y": y, "text": text, "showarrow": False, "font": {"size": points, "color": colour}}

    boxes = []
    for name, (x, y) in places.items():
        shown = name.partition(".")[2] or name
        if short:
            shown = shown.removeprefix("stg_").removeprefix("int_")
        boxes.append(label(x, y, shown, size, palette.ink))
    top = max(y for _, y in places.values()) + 0.5
    across = {lineage.layer(name): x for name, (x, _) in places.items()}
    return boxes + [label(x, top, layer.upper(), min(size, 11), palette.muted) for layer, x in across.items()]


def _rounded(x: float, y: float, box: float) -> str:
    """An SVG path of a box with rounded corners, in the graph's coordinates."""
    left, right, low, high = x - box, x + box, y - HALF_HEIGHT, y + HALF_HEIGHT
    rx, ry = 0.012, 0.1
    return (
        f"M {left + rx} {low} L {right - rx} {low} Q {right} {low} {right} {low + ry} "
        f"L {right} {high - ry} Q {right} {high} {right - rx} {high} "
        f"L {left + rx} {high} Q {left} {high} {left} {high - ry} "
        f"L {left} {low + ry} Q {left} {low} {left + rx} {low} Z"
    )
