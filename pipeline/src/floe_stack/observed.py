"""What Jaeger and Marquez know of a run: its trace, and the graph of tables and jobs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx

from floe_pipeline.telemetry import RUN_ID
from floe_stack.errors import StackError

DEPTH: Final = 20


@dataclass(frozen=True)
class Span:
    """A span of a trace: what was done, for how long, and what is known about it."""

    name: str
    seconds: float
    tags: dict[str, Any]


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
    node = dataset_node(catalog, table)
    graph = _get(marquez, "/api/v1/lineage", nodeId=node, depth=str(DEPTH)).get("graph") or []
    return {each["id"]: [edge["origin"] for edge in each["inEdges"]] for each in graph}


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
