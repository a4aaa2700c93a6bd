"""Builds the marts: dbt in this process, a span for each model and test, and what came of each."""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt_common.events.base_types import EventMsg
from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode

from floe_pipeline.lake.catalog import Lake
from floe_pipeline.settings import Settings
from floe_pipeline.telemetry import RUN_ID, carry, current_context, current_trace_id, span
from floe_pipeline.transform import lineage
from floe_pipeline.transform.dbt_lineage import FAILED
from floe_pipeline.transform.dbt_plugin import Session, working_on
from floe_pipeline.transform.project import TransformError, load_manifest, project_arguments

__all__ = ["BuildError", "NodeResult", "TransformError", "TransformResult", "build", "check"]

IN_MEMORY: Final = ("path:models/staging", "path:models/intermediate")  # every mart is computed from these
FULL: Final = "tag:full"  # tests that look at whole tables
GOOD: Final = frozenset({"success", "pass", "warn", "no-op"})


@dataclass(frozen=True)
class NodeResult:
    """What came of one model or test.

    Attributes:
        unique_id: dbt's id, for example `model.floe.orders`.
        resource_type: `model`, `test` or `unit_test`.
        name: For example `orders`.
        status: dbt's word: success, pass, fail, error, skipped, ...
        seconds: Time it took.
        message: dbt's explanation; empty when there is nothing to say.
        snapshot_id: The Iceberg snapshot that published a mart; None when nothing was committed.
        rows: Rows in that commit: the new ones of an appended mart, all of a replaced one. 0 when nothing was
            committed, None for what is no mart.
    """

    unique_id: str
    resource_type: str
    name: str
    status: str
    seconds: float
    message: str = ""
    snapshot_id: int | None = None
    rows: int | None = None


@dataclass(frozen=True)
class TransformResult:
    """What came of a build or a check.

    Attributes:
        success: Whether every model was built and every test passed.
        nodes: In the order in which they finished.
        seconds: Time it took in all.
    """

    success: bool
    nodes: list[NodeResult]
    seconds: float

    @property
    def snapshots(self) -> dict[str, int]:
        """Snapshot of each mart that was published, by `gold.name`."""
        return {f"gold.{node.name}": node.snapshot_id for node in self.nodes if node.snapshot_id is not None}


class BuildError(TransformError):
    """Models or tests failed; the message names them, `result` holds what came of all."""

    def __init__(self, message: str, result: TransformResult) -> None:
        super().__init__(message)
        self.result = result


def build(
    settings: Settings,
    *,
    lake: Lake,
    select: str | None = None,
    full_refresh: bool = False,
    run_id: str | None = None,
    job: str | None = None,
) -> TransformResult:
    """Bring the marts up to everything that was committed to bronze before the call.

    Orders that a mart has not counted yet are read and tested in memory; only when all tests have passed is
    any mart published, each in one commit. A mart for which there is nothing new is left alone. A build that
    was killed, or that failed, is simply run again.

    Args:
        settings: Telemetry and lineage; the lake's own settings say where data is.
        lake: Where bronze is read and gold is published.
        select: Marts to build, in dbt's selection syntax (`customers products`); all when None.
        full_refresh: Recompute from all of bronze and replace the marts, instead of adding what is new.
        run_id: Names the run in snapshots, traces and lineage.
        job: The Dagster job of that run, for lineage.

    Raises:
        BuildError: Naming every model and test that failed, with dbt's message.
        TransformError: When dbt could not even begin.
        LakeError: When the catalog does not answer.
    """
    arguments = ["build", "--exclude-resource-types", "unit_test", "exposure", "--exclude", FULL]
    if select:
        # A test that also looks at marts which are not built now is not asked: they may not exist yet.
        arguments += ["--select", *select.split(), *IN_MEMORY, "--indirect-selection", "buildable"]
    if full_refresh:
        arguments.append("--full-refresh")
    return _invoke("dbt.build", arguments, settings, lake=lake, run_id=run_id, job=job)


def check(
    settings: Settings, *, lake: Lake, run_id: str | None = None, job: str | None = None
) -> TransformResult:
    """Run the tests that look at whole tables; they hold at any moment, also while batches are committed.

    Args:
        settings: Telemetry and lineage; the lake's own settings say where data is.
        lake: The tables.
        run_id: Names the run in traces and lineage.
        job: The Dagster job of that run, for lineage.

    Raises:
        BuildError: Naming every test that failed, with dbt's message.
        TransformError: When dbt could not even begin.
        LakeError: When the catalog does not answer.
    """
    return _invoke("dbt.check", ["test", "--select", FULL], settings, lake=lake, run_id=run_id, job=job)


_one_at_a_time = threading.Lock()  # dbt keeps its state in modules
_connected: Settings | None = None


def _invoke(
    name: str,
    arguments: list[str],
    settings: Settings,
    *,
    lake: Lake,
    run_id: str | None,
    job: str | None = None,
) -> TransformResult:
    with (
        _one_at_a_time,
        tempfile.TemporaryDirectory(prefix="floe-dbt-run-") as work,
        span(name, "dbt") as current,
    ):
        started = time.perf_counter()
        session = Session(lake, _snapshot_properties(run_id), "--full-refresh" in arguments)
        spans = _NodeSpans(current_context())
        manifest = load_manifest()
        runner = dbtRunner(manifest=manifest, callbacks=[spans.on_event])
        _connect_to(lake.settings)
        with working_on(session):
            outcome = runner.invoke([*arguments, "--no-write-json", *project_arguments(work)])
        nodes = _nodes(outcome, session)
        if isinstance(outcome.result, RunExecutionResult):
            lineage.emit_transform(
                settings,
                manifest,
                outcome.result,
                origin=lineage.Origin(run_id, current_trace_id(), job),
                written=_written(session),
            )
        result = TransformResult(outcome.success, nodes, time.perf_counter() - started)
        current.set_attribute("dbt.nodes", len(nodes))
        if not result.success:
            _disconnect()
            raise _failure(name, outcome, result)  # marks the span, too
    return result


def _snapshot_properties(run_id: str | None) -> dict[str, str]:
    known = {RUN_ID: run_id, "floe.trace_id": current_trace_id()}
    return {key: value for key, value in known.items() if value}


def _connect_to(settings: Settings) -> None:
    """Keep dbt's DuckDB open for the next build on this lake: opening it takes half a second."""
    global _connected  # noqa: PLW0603  # dbt-duckdb keeps its connection in a class
    if _connected != settings:
        _disconnect()
        _connected = settings


def _disconnect() -> None:
    """Let go of dbt's DuckDB, so that the next build logs in again."""
    global _connected  # noqa: PLW0603  # dbt-duckdb keeps its connection in a class
    _connected = None
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


class _NodeSpans:
    """A span for each model and test; what is traced while it runs is below it.

    dbt runs a node, from its start to its finish, in one thread, where the caller's context is lost.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._open: dict[str, tuple[ExitStack, Span]] = {}

    def on_event(self, event: EventMsg) -> None:
        if event.info.name == "NodeStart":
            self._start(event.data.node_info)
        elif event.info.name == "NodeFinished":
            self._finish(event.data.node_info.unique_id, event.data.run_result)

    def _start(self, node: Any) -> None:  # noqa: ANN401  # a protobuf message made at run time
        stack = ExitStack()
        stack.enter_context(carry(self._context))
        attributes = {"dbt.unique_id": node.unique_id, "dbt.resource_type": node.resource_type}
        self._open[node.unique_id] = (
            stack,
            stack.enter_context(span(f"dbt.{node.resource_type} {node.node_name}", "dbt", **attributes)),
        )

    def _finish(self, unique_id: str, outcome: Any) -> None:  # noqa: ANN401  # a protobuf message made at run time
        stack, current = self._open.pop(unique_id)
        current.set_attribute("dbt.status", outcome.status)
        if outcome.status not in GOOD:
            current.set_status(StatusCode.ERROR, _one_line(outcome.message))
        stack.close()


def _nodes(outcome: dbtRunnerResult, session: Session) -> list[NodeResult]:
    if not isinstance(outcome.result, RunExecutionResult):
        return []
    nodes = []
    for result in outcome.result.results:
        node = NodeResult(
            unique_id=result.node.unique_id,
            resource_type=str(result.node.resource_type),
            name=result.node.name,
            status=str(result.status),
            seconds=result.execution_time,
            message="" if str(result.status) in GOOD else _one_line(result.message or ""),
        )
        mart = f"{result.node.schema}.{result.node.name}"
        if mart in session.published:
            published = session.published[mart]
            node = replace(
                node,
                snapshot_id=published.snapshot_id if published else None,
                rows=published.rows if published else 0,
            )
        nodes.append(node)
    return nodes


def _written(session: Session) -> dict[str, lineage.Written]:
    return {
        mart: lineage.Written(published.snapshot_id, published.rows)
        for mart, published in session.published.items()
        if published
    }


def _failure(name: str, outcome: dbtRunnerResult, result: TransformResult) -> BaseException:
    if isinstance(outcome.exception, KeyboardInterrupt | SystemExit):
        return outcome.exception
    failed = [node for node in result.nodes if node.status in FAILED]
    if not failed:
        return TransformError(f"{name} failed: {_one_line(str(outcome.exception))}")
    skipped = [node.name for node in result.nodes if node.status == "skipped"]
    what = "; ".join(f"{node.resource_type} {node.name}: {node.message}" for node in failed)
    rest = f" (not built because of that: {', '.join(skipped)})" if skipped else ""
    return BuildError(f"{name} failed: {what}{rest}", result)


def _one_line(message: str) -> str:
    return " ".join(message.split())
