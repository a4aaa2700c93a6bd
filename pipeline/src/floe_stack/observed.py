"""What Jaeger and Marquez know of a run: its trace, and the graph of tables and jobs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx

from floe_pipeline.report.graph import Dataset, Lineage
from floe_pipeline.telemetry import RUN_ID
from floe_stack.errors import StackError

DEPTH: Final = 20


@dataclass(frozen=True)
class Span:
    """A span of a trace: what was done, from when (seconds since 1970), for how long, and tags."""

    name: str
    seconds: float
    tags: dict[str, Any]
    id: str
    parent_id: str | None
    started: float


def _get(url: str, path: str, **parameters: str) -> dict[str, Any]:
    try:
        answer = httpx.get(f"{url}{path}", params=parameters, timeout=20)
    except httpx.HTTPError as error:
        raise StackError(f"{url}: {type(error).__name__}: {error}") from error
    if answer.status_code == httpx.codes.NOT_FOUND:
        return {}
    if answer.status_code != httpx.codes.OK:
        raise StackError(f"{url}{path} answers {answer.status_code}: {answer.text[:200]}")
    found: dict[str, Any] = answer.json()
    return found


def trace(jaeger: str, trace_id: str) -> list[Span]:
    """The spans of a trace; none when Jaeger does not know it.

    Args:
        jaeger: Address of Jaeger.
        trace_id: 32 hex digits.
    """
    found = _get(jaeger, f"/api/traces/{trace_id}").get("data") or []
    return [
        Span(
            span["operationName"],
            span["duration"] / 1e6,
            {tag["key"]: tag["value"] for tag in span["tags"]},
            span["spanID"],
            next((of["spanID"] for of in span["references"] if of["refType"] == "CHILD_OF"), None),
            span["startTime"] / 1e6,
        )
        for each in found
        for span in each["spans"]
    ]


def traces_of_run(jaeger: str, run_id: str) -> set[str]:
    """Ids of all traces with a span that carries the run's id, whichever service made it; one is right."""
    found = set()
    for service in _get(jaeger, "/api/services").get("data") or []:
        asked = {"service": service, "tags": json.dumps({RUN_ID: run_id}), "limit": "20", "lookback": "2d"}
        found |= {each["traceID"] for each in _get(jaeger, "/api/traces", **asked).get("data") or []}
    return found


def lineage_of(marquez: str, catalog: str, table: str) -> dict[str, list[str]]:
    """The lineage graph around a table: node -> nodes that it is made from.

    Args:
        marquez: Address of Marquez' UI or API.
        catalog: Name of the catalog.
        table: For example `gold.orders`.

    Returns:
        Nodes such as `dataset:iceberg://floe:gold.orders` and `job:floe:dbt.orders`; nothing when Marquez
        does not know the table.
    """
    graph = _graph(marquez, catalog, table)
    return {each["id"]: [edge["origin"] for edge in each["inEdges"]] for each in graph}


def _graph(marquez: str, catalog: str, table: str) -> list[dict[str, Any]]:
    node = dataset_node(catalog, table)
    return _get(marquez, "/api/v1/lineage", nodeId=node, depth=str(DEPTH)).get("graph") or []


def tables_of(marquez: str, catalog: str, table: str) -> Lineage:
    """Every dataset around a table, and which is made from which by a job; with the origin of each column.

    Args:
        marquez: Address of Marquez' UI or API.
        catalog: Name of the catalog.
        table: For example `gold.orders`.

    Returns:
        Names such as `bronze.orders`, `stg_orders` and `cube.Orders`; nothing when Marquez does not know the
        table.
    """
    found = {node["id"]: node for node in _graph(marquez, catalog, table)}
    names = {
        node: _table_name(each["data"]["namespace"], each["data"]["name"])
        for node, each in found.items()
        if each["type"] == "DATASET"
    }
    lineage = Lineage()
    for node, name in names.items():
        lineage.datasets[name] = Dataset(name, _columns(marquez, node))
        writers = [edge["origin"] for edge in found[node]["inEdges"]]
        sources = {edge["origin"] for writer in writers for edge in found[writer]["inEdges"]}
        lineage.edges |= {(names[source], name) for source in sources if source != node}
    return lineage


def _columns(marquez: str, node: str) -> dict[str, list[str]]:
    """Columns of a dataset, each with those that it is made from, as `table.column`."""
    fields = _get(marquez, "/api/v1/column-lineage", nodeId=node, depth="0").get("graph") or []
    own = f"datasetField:{node.removeprefix('dataset:')}:"
    return {
        field["data"]["field"]: [
            f"{_table_name(origin['namespace'], origin['dataset'])}.{origin['field']}"
            for origin in field["data"]["inputFields"]
        ]
        for field in fields
        if field["id"].startswith(own)
    }


def _table_name(namespace: str, name: str) -> str:
    return f"cube.{name}" if namespace.startswith("cube:") else name


def upstream_of(graph: dict[str, list[str]], node: str) -> set[str]:
    """Every node that a node is made from, near or far.

    Args:
        graph: Node -> nodes that it is made from.
        node: Where to begin.
    """
    found: set[str] = set()
    ahead = [node]
    while ahead:
        for origin in graph.get(ahead.pop(), []):
            if origin not in found:
                found.add(origin)
                ahead.append(origin)
    return found


def dataset_node(catalog: str, table: str) -> str:
    """Marquez' id of a table's node."""
    return f"dataset:iceberg://{catalog}:{table}"


def dataset_page(marquez: str, catalog: str, table: str) -> str:
    """Where a person sees the graph of a table."""
    return f"{marquez}/lineage/dataset/{quote(f'iceberg://{catalog}', safe='')}/{quote(table, safe='')}"
