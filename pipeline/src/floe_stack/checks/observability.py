"""US4, B7: the trace and the lineage of a run, and the way from a number to the run behind it."""

from __future__ import annotations

from typing import Final

from floe_pipeline.lake.tables import BRONZE, GOLD
from floe_stack.checks.finding import Finding, Question, judged
from floe_stack.dagster import GENERATE_JOB, SUCCESS, Run
from floe_stack.errors import StackError
from floe_stack.explain import explain
from floe_stack.observed import Span, dataset_node, lineage_of, trace, traces_of_run, upstream_of
from floe_stack.patience import until
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
    spans = until(
        lambda: trace(stack.jaeger, run.trace_id),
        lambda spans: not _missing_spans(run, spans),
        seconds=COME_SECONDS,
        every=0.5,
    )
    wrong = _missing_spans(run, spans)
    traces = traces_of_run(stack.jaeger, run.id)
    if traces != {run.trace_id}:
        wrong.append(f"Jaeger has {len(traces)} traces of run {run.id}, not one")
    wrong += _other_snapshots(run, _by_table(spans, PUBLISH))
    dbt, commits = _of_dbt(spans), _appends(run) | _publishes(run)
    seen = f"one trace of {len(spans)} spans, {len(dbt)} kinds of dbt, {len(commits)} commits"
    return [judged(wrong, seen, run=run.id, trace=run.trace_id, spans=len(spans), dbt=dbt)]


def _missing_spans(run: Run, spans: list[Span]) -> list[str]:
    """Spans that the run should have left and did not, or not yet."""
    wrong = [
        f"no span {APPEND} of {table}" for table in sorted(_appends(run) - _by_table(spans, APPEND).keys())
    ]
    wrong += [
        f"no span {PUBLISH} of {table}"
        for table in sorted(_publishes(run) - _by_table(spans, PUBLISH).keys())
    ]
    wrong += [] if _of_dbt(spans) else ["no span of dbt"]
    wrong += [] if any(span.name == run.job for span in spans) else [f"no span {run.job} around all others"]
    return wrong


def _appends(run: Run) -> set[str]:
    return {spec.identifier for spec in BRONZE if _rows_appended(run, spec.identifier)}


def _publishes(run: Run) -> set[str]:
    return run.written.keys() & {spec.identifier for spec in GOLD}


def _by_table(spans: list[Span], kind: str) -> dict[str, Span]:
    return {str(span.tags["iceberg.table"]): span for span in spans if span.name.startswith(kind)}


def _of_dbt(spans: list[Span]) -> list[str]:
    return sorted({span.name for span in spans if span.name.startswith("dbt")})


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
    graphs = until(
        lambda: {spec.identifier: lineage_of(stack.marquez, CATALOG, spec.identifier) for spec in GOLD},
        lambda graphs: all(_sources(graph, table) for table, graph in graphs.items()),
        seconds=COME_SECONDS,
        every=0.5,
    )
    wrong, sizes = [], {table: len(graph) for table, graph in graphs.items()}
    for spec in GOLD:
        graph = graphs[spec.identifier]
        upstream = upstream_of(graph, dataset_node(CATALOG, spec.identifier))
        if not _sources(graph, spec.identifier):
            wrong.append(f"{spec.identifier}: Marquez shows no way back to bronze ({len(graph)} nodes)")
        elif f"job:floe:dbt.{spec.name}" not in upstream:
            wrong.append(f"{spec.identifier}: it is not made by dbt.{spec.name} in Marquez' graph")
    seen = f"{len(GOLD) - len(wrong)} of {len(GOLD)} marts lead back to bronze; {max(sizes.values())} nodes"
    return [judged(wrong, seen, nodes=sizes)]


def _sources(graph: dict[str, list[str]], table: str) -> set[str]:
    """Bronze tables that a table is made from."""
    upstream = upstream_of(graph, dataset_node(CATALOG, table))
    return {node for node in upstream if node.startswith(dataset_node(CATALOG, "bronze."))}


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
