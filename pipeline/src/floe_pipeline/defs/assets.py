"""What a run makes: the bronze tables in one step, the marts and their tests in another; table checks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg
from pydantic import Field

from floe_pipeline import telemetry
from floe_pipeline.defs.dbt_specs import BRONZE, DbtSpecs
from floe_pipeline.lake.append import AppendResult, append_batch
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.ledger import read_ledger
from floe_pipeline.lake.tables import CLAIMS
from floe_pipeline.settings import Settings, load_settings
from floe_pipeline.transform import lineage, runner
from floe_pipeline.transform.project import manifest_json

POOL: Final = "lake"  # one run at a time writes; dagster.yaml limits every pool to one run
# A catalog or storage that is away for a minute fails no run: 2 + 4 + 8 + 16 + 32 seconds of patience.
PATIENCE: Final = dg.RetryPolicy(max_retries=5, delay=2, backoff=dg.Backoff.EXPONENTIAL)

Metadata = dict[str, Any]

specs: Final = DbtSpecs.read(manifest_json())


class BatchConfig(dg.Config):
    """What to generate; what is not given is taken from the settings."""

    orders: int | None = Field(None, description="New orders.")
    customers: int | None = Field(None, description="New customers.")
    products: int | None = Field(None, description="New products.")
    only_when_empty: bool = Field(
        False, description="Generate only into empty tables; else complete what is half done there."
    )


@dataclass(frozen=True)
class Work:
    """What a step works with."""

    settings: Settings
    lake: Lake
    run_id: str
    batch_id: str


@contextmanager
def step_of(run: dg.DagsterRun, step: str) -> Iterator[Work]:
    """Connect to the lake inside the run's trace.

    Args:
        run: The run; its id is the trace's id. A retry of a run keeps the batch id of the first try, so that
            it completes that batch instead of appending another.
        step: Its key, which names its span.
    """
    settings = load_settings()
    telemetry.configure(settings)
    with telemetry.step_of_run(f"step {step}", run_id=run.run_id, attributes={"dagster.job": run.job_name}):
        yield Work(settings, Lake.connect(settings), run.run_id, run.root_run_id or run.run_id)


@dg.multi_asset(name="bronze", specs=specs.bronze, pool=POOL, retry_policy=PATIENCE)
def bronze(context: dg.AssetExecutionContext, config: BatchConfig) -> Iterator[dg.MaterializeResult[Any]]:
    """Generate one batch and append it to the four tables, exactly once whatever dies meanwhile."""
    with step_of(context.run, "bronze") as work:
        appended = _append(work, config, again=context.retry_number > 0 or bool(context.run.parent_run_id))
        origin = lineage.Origin(work.run_id, telemetry.current_trace_id(), context.run.job_name)
        lineage.emit_generate(work.settings, appended, origin=origin)
        known = "was there already" if appended.already_applied else "appended"
        context.log.info(f"batch {appended.number} {known}: {appended.rows} in {appended.seconds:.2f} s")
        for spec in specs.bronze:
            yield dg.MaterializeResult(asset_key=spec.key, metadata=_bronze_facts(work, spec.key, appended))


def _append(work: Work, config: BatchConfig, *, again: bool) -> AppendResult:
    work.lake.ensure_tables()
    settings, ledger = work.settings, read_ledger(work.lake.load(CLAIMS))
    if again and not ledger and not config.only_when_empty:
        # Lost with MinIO's emptyDir, perhaps. Tables with this batch in them would not be seeded any more.
        raise dg.Failure(
            "bronze is empty: its tables were lost since the first try, or were never seeded;"
            " the sensor seeds them, then run it again",
            allow_retries=False,
        )
    batch_id = work.batch_id
    if ledger and config.only_when_empty:
        batch_id = ledger.batch_id  # asking for the newest batch again completes it, and appends nothing else
    now = datetime.now(UTC)
    return append_batch(
        work.lake,
        batch_id=batch_id,
        seed=settings.seed,
        orders=_first(config.orders, settings.cycle_orders if ledger else settings.seed_orders),
        customers=_first(config.customers, settings.cycle_customers if ledger else settings.seed_customers),
        products=_first(config.products, 0 if ledger else settings.seed_products),
        until=now,
        start=now - timedelta(days=settings.history_days),
        run_id=work.run_id,
    )


def _first(given: int | None, otherwise: int) -> int:
    return otherwise if given is None else given


@dg.multi_asset(
    name="marts",
    specs=specs.models,
    check_specs=specs.checks(full=False),
    can_subset=True,
    pool=POOL,
    retry_policy=PATIENCE,
)
def marts(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Test what is new in bronze and publish it to the marts: dbt in this process, one commit a mart."""
    with step_of(context.run, "marts") as work:
        failure: runner.BuildError | None = None
        try:
            result = runner.build(
                work.settings,
                lake=work.lake,
                select=_selection(context),
                run_id=work.run_id,
                job=context.run.job_name,
            )
        except runner.BuildError as error:
            failure, result = error, error.result
        context.log.info(f"{len(result.snapshots)} marts published in {result.seconds:.2f} s")
        for node in result.nodes:
            key, check = specs.key_of.get(node.unique_id), specs.check_of.get(node.unique_id)
            if key in context.selected_asset_keys and node.status == "success":
                yield dg.MaterializeResult(asset_key=key, metadata=_mart_facts(work, node))
            elif check and check in context.selected_asset_check_keys and node.status != "skipped":
                yield _check_result(check, node)
        if failure:
            _fail(failure)


def _selection(context: dg.AssetExecutionContext) -> str | None:
    """What dbt is to select when a run was launched for some of the assets or checks; None for all."""
    if not context.is_subset:
        return None
    keys = context.selected_asset_keys
    checks = [key.name for key in context.selected_asset_check_keys if key.asset_key not in keys]
    return " ".join(sorted([*(key.path[-1] for key in keys), *checks]))


def _fail(error: runner.BuildError) -> None:
    """A test that failed would fail again; whatever else went wrong may pass."""
    if any(node.resource_type != "test" and node.status == "error" for node in error.result.nodes):
        raise error
    raise dg.Failure(str(error), allow_retries=False) from error


@dg.multi_asset_check(name="whole_tables", specs=specs.checks(full=True), can_subset=True, pool=POOL)
def whole_tables(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Look at whole tables, bronze and gold: what a build proves for new rows, proven for all of them."""
    with step_of(context.run, "whole_tables") as work:
        try:
            result = runner.check(work.settings, lake=work.lake, run_id=work.run_id, job=context.run.job_name)
        except runner.BuildError as error:
            result = error.result
        for node in result.nodes:
            check = specs.check_of[node.unique_id]
            if check in context.selected_asset_check_keys:
                yield _check_result(check, node)


def _check_result(check: dg.AssetCheckKey, node: runner.NodeResult) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN if node.status == "warn" else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=node.status == "pass",
        severity=severity,
        description=node.message or None,
        metadata={"seconds": node.seconds},
    )


def _bronze_facts(work: Work, key: dg.AssetKey, appended: AppendResult) -> Metadata:
    name = key.path[-1]
    return {
        "rows_appended": appended.rows[name],
        "batch": appended.number,
        "batch_id": appended.batch_id,
        **_table_facts(work, f"{BRONZE}.{name}", appended.snapshots.get(name)),
    }


def _mart_facts(work: Work, node: runner.NodeResult) -> Metadata:
    key = specs.key_of[node.unique_id]
    if node.rows is None:  # lives in memory, for this build only
        return {"seconds": node.seconds}
    return {
        "seconds": node.seconds,
        "rows_committed": node.rows,
        **_table_facts(work, ".".join(key.path), node.snapshot_id),
    }


def _table_facts(work: Work, identifier: str, committed: int | None) -> Metadata:
    """Rows, snapshot and trace; ids as text, since a browser rounds whole numbers of that size."""
    snapshot = work.lake.load(identifier).current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    facts: Metadata = {
        "dagster/row_count": int(snapshot.summary.additional_properties["total-records"]),
        "snapshot_id": dg.MetadataValue.text(str(committed or snapshot.snapshot_id)),
    }
    trace_id, where = telemetry.current_trace_id(), work.settings.traces_url
    if trace_id:
        facts["trace_id"] = dg.MetadataValue.text(trace_id)
    if trace_id and where:
        facts["trace"] = dg.MetadataValue.url(f"{where}/trace/{trace_id}")
    if page := lineage.dataset_page(work.settings, identifier):
        facts["lineage"] = dg.MetadataValue.url(page)
    return facts
