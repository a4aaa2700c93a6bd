"""The lineage graph: read from the run's OpenLineage events, drawn from bronze over staging to gold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import plotly.graph_objects as go

from floe_pipeline.report.chart import Chart, faded, styled
from floe_pipeline.report.theme import Palette

LAYERS: Final = ("bronze", "staging", "intermediate", "gold")
MAX_COLUMNS: Final = 16  # listed on hover
BOX: Final = 0.1  # half of a box' width; the graph is 1 wide
HALF_HEIGHT: Final = 0.25  # of a box; rows are 1 apart
CURVE: Final = 24  # points of an edge
MAX_TRIED: Final = 6  # datasets of a layer up to which every order is tried


@dataclass
class Dataset:
    """One table or view: its columns, each with the upstream columns it is made from (`table.column`)."""

    name: str
    columns: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Lineage:
    """Datasets by name, and edges (from, to) between them."""

    datasets: dict[str, Dataset] = field(default_factory=dict)
    edges: set[tuple[str, str]] = field(default_factory=set)

    def layer(self, name: str) -> str:
        """Where it stands: bronze and gold tables, views on bronze alone (staging), and all in between."""
        schema = name.partition(".")[0]
        if schema in LAYERS:
            return schema
        sources = [source for source, target in self.edges if target == name]
        return "staging" if all(source.startswith("bronze.") for source in sources) else "intermediate"

    def depth(self, name: str) -> int:
        """Edges on the longest way to it."""
        return max((1 + self.depth(source) for source, target in self.edges if target == name), default=0)


def read_lineage(path: Path) -> Lineage:
    """Gather the graph from a file of OpenLineage events, one JSON object a line.

    Args:
        path: May be missing, and its last line half written.

    Returns:
        Every dataset that any event names; later events win.
    """
    lineage = Lineage()
    if not path.exists():
        return lineage
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                _add_event(lineage, json.loads(line))
    return lineage


def _add_event(lineage: Lineage, event: Mapping[str, Any]) -> None:
    outputs = event.get("outputs") or []
    if any(dataset["namespace"].startswith("cube:") for dataset in outputs):
        return  # the page is about what the run made, and not about who asks for it
    inputs = [_add_dataset(lineage, dataset) for dataset in event.get("inputs") or []]
    for dataset in outputs:
        output = _add_dataset(lineage, dataset)
        lineage.edges.update((source.name, output.name) for source in inputs if source is not output)
        mapped = (dataset.get("facets") or {}).get("columnLineage", {}).get("fields", {})
        for column, origin in mapped.items():
            output.columns[column] = [
                f"{_short(source['name'])}.{source['field']}" for source in origin.get("inputFields", [])
            ]


def _add_dataset(lineage: Lineage, record: Mapping[str, Any]) -> Dataset:
    name = _short(record["name"])
    dataset = lineage.datasets.setdefault(name, Dataset(name))
    schema = (record.get("facets") or {}).get("schema") or {}
    for column in schema.get("fields", []):
        dataset.columns.setdefault(column["name"], [])
    return dataset


def _short(name: str) -> str:
    """`lake.bronze.orders` and `bronze.orders` are one table; in other schemas the name alone is enough."""
    parts = name.split(".")
    return ".".join(parts[-2:]) if len(parts) > 1 and parts[-2] in {"bronze", "gold"} else parts[-1]


def lineage_chart(lineage: Lineage) -> Chart:
    """The graph as a chart.

    Raises:
        ValueError: There is no edge to draw.
    """
    if not lineage.edges:
        raise ValueError("the lineage events hold no edge")
    places = _places(lineage)
    rows = len({round(y) for _, y in places.values()})
    columns = sum(len(dataset.columns) for dataset in lineage.datasets.values())

    def draw(palette: Palette) -> go.Figure:
        amber, grey, teal, blue = (palette.series[at] for at in (3, 5, 1, 0))
        ground = dict(zip(LAYERS, (amber, grey, teal, blue), strict=True))
        figure = go.Figure([_edge(places[a], places[b], (a, b), palette) for a, b in sorted(lineage.edges)])
        figure.add_trace(_hover_spots(lineage, places))
        for name, (x, y) in places.items():
            colour = ground[lineage.layer(name)]
            figure.add_shape(
                type="path",
                path=_rounded(x, y),
                fillcolor=palette.card,
                line={"color": colour, "width": 2},
                layer="above",
            )
            figure.add_shape(
                type="path",
                path=_rounded(x, y),
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

    ends = sorted(name for name in lineage.datasets if lineage.layer(name) == "gold")
    return Chart(
        "lineage",
        f"{len(lineage.datasets)} datasets, {len(lineage.edges)} edges, {columns} columns",
        "From bronze tables over views in memory to gold marts; point at one to see its columns' origin",
        "A graph from left to right. "
        + " ".join(
            f"{name} is made from {', '.join(sorted(a for a, b in lineage.edges if b == name))}."
            for name in ends
        ),
        draw,
        narrow=lambda palette: {"annotations": _names(lineage, places, palette, size=9, short=True)},
        wide=True,
    )


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

    for layer in ("gold", "staging", "gold", "staging", "bronze"):
        names = tuple(sorted(columns.get(layer, ())))
        if 1 < len(names) <= MAX_TRIED:  # what lies in between stays in the order in which it is computed
            _, best = min(travel(layer, order) for order in permutations(names))
            travel(layer, best)
    left, right = BOX + 0.005, 1 - BOX - 0.005
    across = {
        layer: left + (right - left) * at / max(1, len(columns) - 1) for at, layer in enumerate(columns)
    }
    return {name: (across[layer], heights[name]) for layer, names in columns.items() for name in names}


def _edge(
    start: tuple[float, float], end: tuple[float, float], ends: tuple[str, str], palette: Palette
) -> go.Scatter:
    """A smooth curve; the page's script finds an edge's ends in `meta` and lights it up on hover."""
    steps = [at / (CURVE - 1) for at in range(CURVE)]
    if start[0] == end[0]:  # in one column: straight down, or around what stands between
        down = 1 if start[1] > end[1] else -1
        y0, y1 = start[1] - down * HALF_HEIGHT, end[1] + down * HALF_HEIGHT
        bulge = 0.0 if abs(start[1] - end[1]) <= 1 else BOX * 1.22
        x = [start[0] - bulge * (1 - (2 * t - 1) ** 4) for t in steps]
        y = [y0 + (y1 - y0) * t for t in steps]
    else:
        x0, x1 = start[0] + BOX, end[0] - BOX
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


def _hover_spots(lineage: Lineage, places: Mapping[str, tuple[float, float]]) -> go.Scatter:
    """Unseen marks along every box, so that pointing anywhere at it tells its columns."""
    along = (-0.8, -0.4, 0, 0.4, 0.8)
    spots = [(name, x + shift * BOX, y) for name, (x, y) in places.items() for shift in along]
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


def _rounded(x: float, y: float) -> str:
    """An SVG path of a box with rounded corners, in the graph's coordinates."""
    left, right, low, high = x - BOX, x + BOX, y - HALF_HEIGHT, y + HALF_HEIGHT
    rx, ry = 0.012, 0.1
    return (
        f"M {left + rx} {low} L {right - rx} {low} Q {right} {low} {right} {low + ry} "
        f"L {right} {high - ry} Q {right} {high} {right - rx} {high} "
        f"L {left + rx} {high} Q {left} {high} {left} {high - ry} "
        f"L {left} {low + ry} Q {left} {low} {left + rx} {low} Z"
    )
