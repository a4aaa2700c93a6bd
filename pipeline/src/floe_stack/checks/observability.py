"""US4, B7: the trace and the lineage of a run, and the way from a number to the run behind it."""

from __future__ import annotations

import time
from typing import Final

from floe_pipeline.lake.tables import BRONZE, GOLD
from floe_stack.checks.finding import Finding, Question, judged
from floe_stack.dagster import GENERATE_JOB, SUCCESS, Run
from floe_stack.errors import StackError
from floe_stack.explain import explain
from floe_stack.observed import Span, dataset_node, lineage_of, trace, traces_of_run, upstream_of
from floe_stack.stack import Stack

CATALOG: Final = "floe"
COME_SECONDS: Final = 20.0  # spans and events are sent off the critical path
APPEND, PUBLISH = "iceberg.append", "iceberg.publish"


def _newest_run(stack: Stack) -> Run:
    found = stack.dagster.runs(GENERATE_JOB, statuses=(SUCCESS,), limit=1)
    if not found:
        raise StackError(f"no run of {GENERATE_JOB} succeeded yet: make generate")
    return stack.dagster.run(found[0].id)


def _trace(stack: Stack) -> list[Finding]:
    run = _newest_run(stack)
    appends = {f"{spec.identifier}" for spec in BRONZE if _rows_appended(run, spec.identifier)}
    publishes = {name for name in run.written if name in {spec.identifier for spec in GOLD}}
    deadline = time.monotonic() + COME_SECONDS
    while True:
        spans = trace(stack.jaeger, run.trace_id)
        by_kind = {
            kind: {str(span.tags["iceberg.table"]): span for span in spans if span.name.startswith(kind)}
            for kind in (APPEND, PUBLISH)
        }
        dbt = sorted({span.name for span in spans if span.name.startswith("dbt")})
        wrong = [f"no span {APPEND} of {table}" for table in sorted(appends - by_kind[APPEND].keys())]
        wrong += [f"no span {PUBLISH} of {table}" for table in sorted(publishes - by_kind[PUBLISH].keys())]
        wrong += [] if dbt else ["no span of dbt"]
        wrong += (
            [] if any(span.name == run.job for span in spans) else [f"no span {run.job} around all others"]
        )
        if not wrong or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    traces = traces_of_run(stack.jaeger, run.id)
    if traces != {run.trace_id}:
        wrong.append(f"Jaeger has {len(traces)} traces of run {run.id}, not one")
    wrong += _other_snapshots(run, by_kind[PUBLISH])
    seen = f"one trace of {len(spans)} spans, {len(dbt)} kinds of dbt, {len(appends | publishes)} commits"
    return [judged(wrong, seen, run=run.id, trace=run.trace_id, spans=len(spans), dbt=dbt)]


def _rows_appended(run: Run, table: str) -> int:
    return int(run.written[table].facts.get("rows_appended") or 0) if table in run.written else 0


def _other_snapshots(run: Run, spans: dict[str, Span]) -> list[str]:
    """Where a span tells another snapshot than Dagster does for the same table."""
    return [
        f"{table}: the span says snapshot {told}, Dagster {known}"
        for table, span in spans.items()
        if (told := str(span.tags.get("iceberg.snapshot_id", "")))
        and table in run.written
        and (known := run.written[table].facts.get("snapshot_id")) != told
    ]


def _lineage(stack: Stack) -> list[Finding]:
    wrong, sizes = [], {}
    deadline = time.monotonic() + COME_SECONDS
    for spec in GOLD:
        while True:
            graph = lineage_of(stack.marquez, CATALOG, spec.identifier)
            upstream = upstream_of(graph, dataset_node(CATALOG, spec.identifier))
            sources = {node for node in upstream if node.startswith(dataset_node(CATALOG, "bronze."))}
            if sources or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        sizes[spec.identifier] = len(graph)
        if not sources:
            wrong.append(f"{spec.identifier}: Marquez shows no way back to bronze ({len(graph)} nodes)")
        elif f"job:floe:dbt.{spec.name}" not in upstream:
            wrong.append(f"{spec.identifier}: it is not made by dbt.{spec.name} in Marquez' graph")
    seen = f"{len(GOLD) - len(wrong)} of {len(GOLD)} marts lead back to bronze; {max(sizes.values())} nodes"
    return [judged(wrong, seen, nodes=sizes)]


def _explained(stack: Stack) -> list[Finding]:
    """Every step of the way from a number to its run is there, and all agree on the run and its snapshot."""
    way = explain(stack, "Orders.total_revenue")
    wrong = [] if way.run.status == SUCCESS else [f"run {way.run.id} behind the number is {way.run.status}"]
    told = way.run.written.get(way.table)
    if told is None or told.facts.get("snapshot_id") != str(way.snapshot):
        wrong.append(f"Dagster does not say of run {way.run.id} that it made snapshot {way.snapshot}")
    wrong += [] if way.spans else [f"Jaeger has no trace {way.run.trace_id}"]
    wrong += (
        [] if "bronze.orders" in way.sources else [f"Marquez does not lead from {way.table} to bronze.orders"]
    )
    seen = f"{way.number} by snapshot {way.snapshot} of run {way.run.id[:8]}"
    return [judged(wrong, seen, number=way.number, snapshot=str(way.snapshot), run=way.run.id)]


QUESTIONS: Final = (
    Question(
        {"US4.1": "Jaeger shows one trace of a run, with spans of dbt and of Iceberg's commits"}, _trace
    ),
    Question({"US4.2": "Marquez shows the lineage graph of the models"}, _lineage),
    Question(
        {"B7": "A number in Cube leads to its snapshot, its run, the trace and the lineage"}, _explained
    ),
)
