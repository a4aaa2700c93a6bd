"""When the sensor and the schedule start a run, and why they do not; what a launch may ask for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from floe_pipeline.definitions import defs
from floe_pipeline.defs.automation import empty_tables_sensor, generate_orders_schedule
from floe_pipeline.defs.ports import free_port
from floe_pipeline.lake import append
from floe_pipeline.lake.append import append_batch

if TYPE_CHECKING:
    from .conftest import Platform

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def sense(platform: Platform) -> dg.RunRequest | str:
    """The sensor's run request, or why there is none."""
    with dg.build_sensor_context(instance=platform.instance, definitions=defs) as context:
        return _outcome(empty_tables_sensor(context))


def tick(platform: Platform) -> dg.RunRequest | str:
    """The schedule's run request, or why there is none."""
    with dg.build_schedule_context(instance=platform.instance, scheduled_execution_time=NOW) as context:
        return _outcome(generate_orders_schedule(context))


def _outcome(answer: Any) -> dg.RunRequest | str:
    return str(answer.skip_message) if isinstance(answer, dg.SkipReason) else answer


def a_run(platform: Platform, job: str, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    return platform.instance.add_run(dg.DagsterRun(job, status=status))


def claim_only(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what a writer leaves that is killed after its first commit: order items, and nothing else."""

    class Killed(BaseException):
        pass

    def die(*_: object) -> bool:
        raise Killed

    platform.lake.ensure_tables()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(append, "_complete", die)
        append_batch(
            platform.lake,
            batch_id="killed",
            seed=platform.settings.seed,
            orders=50,
            customers=10,
            products=5,
            until=NOW,
            start=NOW - timedelta(days=90),
        )


def append_whole(platform: Platform, number: int) -> None:
    """Append a whole batch without Dagster."""
    append_batch(
        platform.lake,
        batch_id=f"batch-{number}",
        seed=platform.settings.seed,
        orders=30,
        customers=10,
        products=5,
        until=NOW + timedelta(hours=number),
        start=NOW - timedelta(days=90),
    )


def test_missing_and_then_empty_tables_are_seeded_and_the_schedule_waits(platform: Platform) -> None:
    for _ in range(2):
        request = sense(platform)
        assert isinstance(request, dg.RunRequest)
        assert request.run_key is None  # a key is used up even when its run fails
        waiting = tick(platform)
        assert isinstance(waiting, str)
        assert "waiting for the seed: bronze.order_items" in waiting
        platform.lake.ensure_tables()


def test_half_filled_tables_are_completed_by_the_seed_job(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_only(platform, monkeypatch)
    request = sense(platform)
    assert isinstance(request, dg.RunRequest)
    assert request.tags["floe/empty"] == "bronze.products, bronze.customers, bronze.orders"
    assert platform.run("seed_job").success
    assert platform.rows("bronze.orders") == platform.rows("gold.orders") == 50
    assert sense(platform) == "nothing to seed: bronze.orders has 50 rows"
    assert isinstance(tick(platform), dg.RunRequest)


@pytest.mark.parametrize("job", ["seed_job", "generate_orders_job"])
def test_a_run_in_flight_keeps_both_from_starting_another(platform: Platform, job: str) -> None:
    platform.lake.ensure_tables()
    run = a_run(platform, job, dg.DagsterRunStatus.STARTED)
    assert str(sense(platform)).endswith(f"empty, but {job} is started in run {run.run_id[:8]}")
    append_whole(platform, 1)
    assert tick(platform) == f"{job} is started in run {run.run_id[:8]}"
    platform.instance.report_run_failed(run)
    assert isinstance(tick(platform), dg.RunRequest)


def test_after_a_failed_seed_the_sensor_starts_another(platform: Platform) -> None:
    a_run(platform, "seed_job", dg.DagsterRunStatus.FAILURE)
    assert isinstance(sense(platform), dg.RunRequest)


def test_a_table_that_was_dropped_by_hand_is_named_and_not_seeded_again_and_again(platform: Platform) -> None:
    platform.lake.ensure_tables()
    for number in (1, 2):  # what was dropped of the only batch there is could be made again
        append_whole(platform, number)
    platform.lake.catalog.drop_table("bronze.customers")
    said = sense(platform)
    assert isinstance(said, str)
    assert "cannot seed: bronze.customers" in said
    assert "drop all bronze tables" in said


def test_a_catalog_that_is_down_is_named_and_no_tick_fails(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"http://127.0.0.1:{free_port()}/api/catalog"
    monkeypatch.setenv("FLOE_CATALOG_URI", address)
    for said in (sense(platform), tick(platform)):
        assert isinstance(said, str)
        assert f"FLOE_CATALOG_URI={address} does not answer" in said


def test_wrong_credentials_are_named_and_no_tick_fails(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOE_CATALOG_CLIENT_SECRET", "not-the-secret")
    said = sense(platform)
    assert isinstance(said, str)
    assert "refused client" in said
    assert "not-the-secret" not in said


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"orders": 0}, "orders=0 cannot be used: it must be a whole number from 1 to 1,000,000"),
        ({"orders": 1_000_001}, "orders=1000001 cannot be used"),
        ({"orders": 5, "customers": -1}, "customers=-1 cannot be used: it must be a whole number from 0"),
        ({"orders": "ten"}, 'Invalid scalar at path root:orders. Value "ten"'),
        ({"order": 5}, 'Received unexpected config entry "order"'),
    ],
)
@pytest.mark.parametrize("job", ["seed_job", "generate_orders_job"])
def test_a_launch_with_a_bad_number_is_refused_in_words(
    job: str, config: dict[str, Any], complaint: str
) -> None:
    with pytest.raises((dg.DagsterInvalidConfigError, dg.DagsterConfigMappingFunctionError)) as refused:
        dg.validate_run_config(defs.resolve_job_def(job), config)
    assert complaint in f"{refused.value} {refused.value.__cause__}"


@pytest.mark.parametrize("orders", [1, 1_000_000])
def test_the_smallest_and_the_largest_launch_are_accepted(orders: int) -> None:
    resolved = dg.validate_run_config(defs.resolve_job_def("generate_orders_job"), {"orders": orders})
    config = resolved["ops"]["bronze"]["config"]
    assert (config["orders"], config["only_when_empty"]) == (orders, False)
