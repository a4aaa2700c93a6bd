"""`floe stack explain`: from a number in Cube to its snapshot, run, trace and lineage (B7)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import httpx
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from floe_pipeline.telemetry import RUN_ID
from floe_stack.cube import COUNT
from floe_stack.dagster import Run, Written
from floe_stack.doors import CUBE, DAGSTER, JAEGER, MARQUEZ
from floe_stack.errors import StackError
from floe_stack.generate import ORDERS
from floe_stack.observed import Span, dataset_node, dataset_page, lineage_of, trace, upstream_of
from floe_stack.stack import Stack

MEMBER: Final = re.compile(r"[A-Z]\w*\.\w+")
TABLE: Final = re.compile(r"\blake\.(gold\.\w+)")
CATALOG: Final = "floe"


@dataclass(frozen=True)
class Explained:
    """What stands behind a number.

    Attributes:
        number: What Cube says.
        table: The mart that it is computed from.
        snapshot: The mart's snapshot that the run made.
        committed: When.
        run: The run.
        spans: Its trace.
        sources: Tables that the mart is made from, by Marquez.
        addresses: What to open, by what it shows, once `make port-forward` runs.
    """

    number: str
    table: str
    snapshot: int
    committed: datetime
    run: Run
    spans: list[Span]
    sources: list[str]
    addresses: dict[str, str]


def explain(stack: Stack, measure: str) -> Explained:
    """Walk from a measure of Cube to the run that its mart is as new as.

    Raises:
        StackError: There is no such measure, or a step of the way is missing; it says which.
    """
    if not MEMBER.fullmatch(measure):
        raise StackError(f"{measure!r} is no measure: it looks like Orders.total_revenue")
    (row,) = stack.cube.load({"measures": [measure]})
    table = _table_of(stack, measure)
    snapshot, run_id = _commit(stack, table)
    return _explained(
        stack,
        f"{measure} = {row[measure]}",
        table=table,
        snapshot=snapshot.snapshot_id,
        committed=snapshot.timestamp_ms / 1000,
        run_id=run_id,
    )


def explain_order(stack: Stack, order: int) -> Explained:
    """Walk from an order in Cube to the run that made it.

    Raises:
        StackError: There is no such order, or Dagster does not know its run any more.
    """
    query = {
        "dimensions": ["Orders.id", "Orders.total_amount"],
        "filters": [{"member": "Orders.id", "operator": "equals", "values": [str(order)]}],
    }
    rows = stack.cube.load(query)
    if not rows:
        raise StackError(f"Cube has no order {order:,}: it counts {stack.cube.number(COUNT):,}, from 1 on")
    made = maker_of(order, stack.dagster.written("bronze.orders"))
    if made is None:
        raise StackError(f"Dagster keeps no run that made order {order:,}")
    run = stack.dagster.run(made.run_id)
    if ORDERS not in run.written:
        raise StackError(f"run {run.id} made order {order:,}, but did not publish {ORDERS}")
    snapshot = int(run.written[ORDERS].facts["snapshot_id"])
    number = f"order {order:,}: {rows[0]['Orders.total_amount']}"
    return _explained(stack, number, table=ORDERS, snapshot=snapshot, committed=made.at, run_id=run.id)


def maker_of(order: int, written: Sequence[Written]) -> Written | None:
    """The append that brought an order: ids count from 1 without a gap, so the rows after it tell.

    Args:
        order: Its id.
        written: Appends to bronze.orders, the newest first. Those before the tables were emptied are known by
            having more rows than what came after them.
    """
    made: Written | None = None
    rows_after = 0
    for each in written:
        rows = int(each.facts["dagster/row_count"])
        if rows < order or (made is not None and rows > rows_after):
            break
        made, rows_after = each, rows
    return made


def _explained(
    stack: Stack, number: str, *, table: str, snapshot: int, committed: float, run_id: str
) -> Explained:
    run = stack.dagster.run(run_id)
    graph = lineage_of(stack.marquez, CATALOG, table)
    node, prefix = dataset_node(CATALOG, table), dataset_node(CATALOG, "")
    sources = sorted(
        each.removeprefix(prefix) for each in upstream_of(graph, node) if each.startswith(prefix)
    )
    return Explained(
        number=number,
        table=table,
        snapshot=snapshot,
        committed=datetime.fromtimestamp(committed, UTC),
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
    spans = f"{len(explained.spans)} spans" if explained.spans else "which Jaeger does not know (any more)"
    return [
        ("number", explained.number, ""),
        ("mart", explained.table, addresses["table"]),
        ("snapshot", f"{explained.snapshot}, committed {explained.committed:%Y-%m-%d %H:%M:%S} UTC", ""),
        ("run", f"{run.id} of {run.job}, {run.status}, {seconds}", addresses["run"]),
        ("begun by", began, ""),
        ("trace", f"{run.trace_id}, {spans}", addresses["trace"]),
        ("lineage", sources, addresses["lineage"]),
    ]
