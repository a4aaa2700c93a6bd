"""`floe stack explain`: from a number in Cube to its snapshot, run, trace and lineage (B7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import httpx
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from floe_pipeline.telemetry import RUN_ID
from floe_stack.dagster import Run
from floe_stack.doors import CUBE, DAGSTER, JAEGER, MARQUEZ
from floe_stack.errors import StackError
from floe_stack.observed import Span, dataset_node, dataset_page, lineage_of, trace, upstream_of
from floe_stack.stack import Stack

MEMBER: Final = re.compile(r"[A-Z]\w*\.\w+")
TABLE: Final = re.compile(r"\blake\.(gold\.\w+)")
CATALOG: Final = "floe"


@dataclass(frozen=True)
class Explained:
    """What stands behind a number.

    Attributes:
        measure: For example `Orders.total_revenue`.
        value: What Cube says.
        table: The mart that it is computed from.
        snapshot: The mart's snapshot that the run made.
        committed: When.
        run: The run.
        spans: Its trace.
        sources: Tables that the mart is made from, by Marquez.
        addresses: What to open, by what it shows, once `make port-forward` runs.
    """

    measure: str
    value: str
    table: str
    snapshot: int
    committed: datetime
    run: Run
    spans: list[Span]
    sources: list[str]
    addresses: dict[str, str]


def explain(stack: Stack, measure: str) -> Explained:
    """Walk from a measure of Cube to the run behind it.

    Raises:
        StackError: There is no such measure, or a step of the way is missing; it says which.
    """
    if not MEMBER.fullmatch(measure):
        raise StackError(f"{measure!r} is no measure: it looks like Orders.total_revenue")
    (row,) = stack.cube.load({"measures": [measure]})
    table = _table_of(stack, measure)
    snapshot, run_id = _commit(stack, table)
    run = stack.dagster.run(run_id)
    graph = lineage_of(stack.marquez, CATALOG, table)
    node = dataset_node(CATALOG, table)
    prefix = dataset_node(CATALOG, "")
    sources = sorted(
        each.removeprefix(prefix) for each in upstream_of(graph, node) if each.startswith(prefix)
    )
    return Explained(
        measure=measure,
        value=str(row[measure]),
        table=table,
        snapshot=snapshot.snapshot_id,
        committed=datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
        run=run,
        spans=trace(stack.jaeger, run.trace_id),
        sources=sources,
        addresses=_addresses(stack, run, table),
    )


def _table_of(stack: Stack, measure: str) -> str:
    """The mart in the SQL that Cube would run."""
    try:
        answer = stack.cube.http.post("/cubejs-api/v1/sql", json={"query": {"measures": [measure]}})
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise StackError(f"Cube does not tell the SQL of {measure}: {error}") from error
    tables = TABLE.findall(answer.json()["sql"]["sql"][0])
    if not tables:
        raise StackError(f"the SQL of {measure} reads no table of lake.gold")
    first: str = tables[0]
    return first


def _commit(stack: Stack, table: str) -> tuple[Snapshot, str]:
    """The newest snapshot that a run of the pipeline made, past those of maintenance; and the run's id."""
    loaded = stack.lake().lake.load(table)
    for snapshot in ancestors_of(loaded.current_snapshot(), loaded.metadata):
        run_id = snapshot.summary.additional_properties.get(RUN_ID) if snapshot.summary else None
        if run_id:
            return snapshot, run_id
    raise StackError(f"no snapshot of {table} that is still kept names its run")


def _addresses(stack: Stack, run: Run, table: str) -> dict[str, str]:
    at = {
        door.name: door.address(door.local_port(stack.connection.ports))
        for door in (CUBE, DAGSTER, JAEGER, MARQUEZ)
    }
    return {
        "run": f"{at['dagster']}/runs/{run.id}",
        "table": f"{at['dagster']}/assets/{table.replace('.', '/')}",
        "trace": f"{at['jaeger']}/trace/{run.trace_id}",
        "lineage": dataset_page(at["marquez"], CATALOG, table),
    }


def rows(explained: Explained) -> list[tuple[str, str, str]]:
    """The way as a table: step, what it is, where to look at it."""
    run, addresses = explained.run, explained.addresses
    began = next(
        (f"{name.removeprefix('dagster/').removesuffix('_name')} {value}" for name, value in run.tags.items()
         if name in {"dagster/schedule_name", "dagster/sensor_name"}),
        "a person or program, through the API",
    )  # fmt: skip
    seconds = f"{(run.ended or 0) - run.created:.1f} s" if run.ended else "under way"
    sources = ", ".join(explained.sources) or "Marquez does not know the table (yet)"
    return [
        ("number", f"{explained.measure} = {explained.value}", ""),
        ("mart", explained.table, addresses["table"]),
        ("snapshot", f"{explained.snapshot}, committed {explained.committed:%Y-%m-%d %H:%M:%S} UTC", ""),
        ("run", f"{run.id} of {run.job}, {run.status}, {seconds}", addresses["run"]),
        ("begun by", began, ""),
        ("trace", f"{run.trace_id}, {len(explained.spans)} spans", addresses["trace"]),
        ("lineage", sources, addresses["lineage"]),
    ]
