"""What starts runs: jobs, the sensor that seeds empty tables, schedules that add orders and tidy the lake."""

from collections.abc import Mapping
from typing import Any, Final

import dagster as dg

from floe_pipeline import telemetry
from floe_pipeline.defs.assets import POOL, bronze, marts, step_of, whole_tables
from floe_pipeline.defs.bronze_state import BronzeState, look
from floe_pipeline.defs.run_story import tell_dead_run
from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.maintain import maintain
from floe_pipeline.settings import load_settings

settings: Final = load_settings()

MOST: Final = 1_000_000  # rows that one batch may ask for through the launchpad or GraphQL
IN_FLIGHT: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# A run that was killed starts again from the step it died in, up to three times (dagster.yaml allows it).
RETRIED: Final = {"dagster/max_retries": "3", "dagster/retry_strategy": "FROM_FAILURE"}


# The tables with the tests of what is new; tests of whole tables would make a cycle cost more and more.
EVERYTHING: Final = dg.AssetSelection.assets(bronze, marts) - dg.AssetSelection.checks(whole_tables)


def _size(description: str) -> dg.Field:
    return dg.Field(int, is_required=False, description=description)


def _batch(config: Mapping[str, Any], *, only_when_empty: bool) -> dict[str, Any]:
    """Config of the step `bronze` from the job's; a bad number refuses the launch, before there is a run."""
    for name, value in config.items():
        least = 1 if name == "orders" else 0
        if not least <= value <= MOST:
            raise ValueError(
                f"{name}={value} cannot be used: it must be a whole number from {least} to {MOST:,}"
            )
    return {"ops": {"bronze": {"config": {**config, "only_when_empty": only_when_empty}}}}


@dg.config_mapping(
    config_schema={
        "orders": _size(f"Orders to begin with, 1 to {MOST:,} (FLOE_SEED_ORDERS)."),
        "customers": _size("Customers to begin with (FLOE_SEED_CUSTOMERS)."),
        "products": _size("Products to begin with (FLOE_SEED_PRODUCTS)."),
    }
)
def _seed_config(config: Mapping[str, Any]) -> dict[str, Any]:
    return _batch(config, only_when_empty=True)


@dg.config_mapping(
    config_schema={
        "orders": _size(f"New orders, 1 to {MOST:,} (FLOE_CYCLE_ORDERS)."),
        "customers": _size("New customers (FLOE_CYCLE_CUSTOMERS)."),
    }
)
def _cycle_config(config: Mapping[str, Any]) -> dict[str, Any]:
    return _batch(config, only_when_empty=False)


seed_job = dg.define_asset_job(
    "seed_job",
    selection=EVERYTHING,
    config=_seed_config,
    description="Fill empty tables with a history of orders and build the marts. Where there are orders"
    " already, complete what is half done and add nothing.",
    tags=RETRIED,
)

generate_orders_job = dg.define_asset_job(
    "generate_orders_job",
    selection=EVERYTHING,
    config=_cycle_config,
    description="Add new orders and some new customers to bronze, and bring the marts up to date."
    " Config: {orders: N, customers: M}.",
    tags=RETRIED,
)

check_tables_job = dg.define_asset_job(
    "check_tables_job",
    selection=dg.AssetSelection.checks(whole_tables),
    description="Run the dbt tests that look at whole tables, bronze and gold.",
    tags=RETRIED,
)


@dg.op(pool=POOL, out=dg.Out(dg.Nothing))
def maintain_tables(context: dg.OpExecutionContext) -> None:
    """Merge small files, forget old snapshots, delete files that nothing refers to."""
    with step_of(context.run, "maintain_tables") as work:
        for table in maintain(work.lake, work.settings):
            counts: dict[str, int | str] = {
                "snapshots_expired": table.snapshots_expired,
                "files_compacted": table.files_compacted,
                "orphans_deleted": table.orphans_deleted,
                "bytes_deleted": table.bytes_deleted,
                "live_files": table.live_files,
                **({} if table.objects is None else {"objects": table.objects}),
                **({"skipped": "\n".join(table.skipped)} if table.skipped else {}),
            }
            context.log.info(f"{table.table}: {counts}")
            context.log_event(
                dg.AssetObservation(table.table.split("."), description="Maintained.", metadata=counts)
            )


@dg.job(
    tags=RETRIED,
    description="Keep the lake small: compaction, snapshot expiry, orphan removal, counted at each table.",
)
def maintenance_job() -> None:
    """One step; it takes its turn with the runs that write."""
    maintain_tables()


@dg.sensor(
    job=seed_job,
    minimum_interval_seconds=settings.sensor_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Seeds the lake when a bronze table is empty or missing, unless a run that fills it is on.",
)
def empty_tables_sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """No run key: Dagster would count it as used even if the run fails, and the lake would stay empty."""
    state = _look()
    if isinstance(state, dg.SkipReason):
        return state
    if not state.empty:
        return dg.SkipReason(f"nothing to seed: bronze.orders has {state.rows['orders']:,} rows")
    if state.problem:
        return dg.SkipReason(f"cannot seed: {state.problem}")
    busy = _in_flight(context.instance, seed_job.name, generate_orders_job.name)
    if busy:
        return dg.SkipReason(f"{', '.join(state.empty)}: empty, but {busy}")
    return dg.RunRequest(tags={"floe/empty": ", ".join(state.empty)})


@dg.schedule(
    job=generate_orders_job,
    cron_schedule=settings.schedule_cron,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Adds orders (FLOE_SCHEDULE_CRON) once tables are seeded, unless the last run is still on.",
)
def generate_orders_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """A tick that finds the last one's run still waiting adds no second: runs would only pile up."""
    state = _look()
    if isinstance(state, dg.SkipReason):
        return state
    if state.empty:
        return dg.SkipReason(f"waiting for the seed: {', '.join(state.empty)} empty or missing")
    busy = _in_flight(context.instance, seed_job.name, generate_orders_job.name)
    if busy:
        return dg.SkipReason(busy)
    return dg.RunRequest()


@dg.run_failure_sensor(
    name="dead_runs_sensor",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Completes trace and lineage of a run that was killed: its own process tells them otherwise.",
)
def dead_runs_sensor(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """A run that died is a failed one in Jaeger and Marquez too, not one that never ends."""
    now = load_settings()
    telemetry.configure(now)
    run, why = context.dagster_run, context.failure_event
    if tell_dead_run(now, run, context.instance, why):
        return None
    return dg.SkipReason(f"run {run.run_id[:8]} told its end itself")


maintenance_schedule = dg.ScheduleDefinition(
    name="maintenance_schedule",
    job=maintenance_job,
    cron_schedule="12 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour, between two ticks of the generation.",
)

check_tables_schedule = dg.ScheduleDefinition(
    name="check_tables_schedule",
    job=check_tables_job,
    cron_schedule="42 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour.",
)


def _look() -> BronzeState | dg.SkipReason:
    """The tables' state, or why it is not known: a catalog that is down is no failure of a tick."""
    try:
        return look(load_settings())
    except LakeError as error:
        return dg.SkipReason(str(error))


def _in_flight(instance: dg.DagsterInstance, *jobs: str) -> str | None:
    """Says which run of these jobs has not ended."""
    for name in jobs:
        runs = instance.get_runs(dg.RunsFilter(job_name=name, statuses=IN_FLIGHT), limit=1)
        for run in runs:
            return f"{name} is {run.status.value.lower()} in run {run.run_id[:8]}"
    return None
