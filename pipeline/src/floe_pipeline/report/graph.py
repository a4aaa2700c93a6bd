"""The graph of tables that a run made: read from its OpenLineage events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

LAYERS: Final = ("bronze", "staging", "intermediate", "gold", "cube")


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
