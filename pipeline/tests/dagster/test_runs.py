"""Runs in this process on a real lake: right data, facts at each table, one trace, truthful checks."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, NoReturn

import dagster as dg
import pytest

from floe_pipeline.definitions import defs
from floe_pipeline.defs import assets
from floe_pipeline.defs.assets import marts, step_of
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.ledger import read_ledger
from floe_pipeline.lake.tables import BRONZE
from floe_pipeline.transform import runner
from floe_pipeline.transform.runner import BuildError, NodeResult, TransformResult

if TYPE_CHECKING:
    from .conftest import Platform

pytestmark = pytest.mark.slow
MONEY_RULE = "test.floe.holds_int_pending_totals"


def facts(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Metadata of each materialized asset, by `bronze.orders`."""
    return {
        ".".join(event.asset_key.path): {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }


def failed_checks(result: dg.ExecuteInProcessResult) -> set[str]:
    return {check.check_name for check in result.get_asset_check_evaluations() if not check.passed}


def test_seed_fills_bronze_and_gold_to_the_row_and_cent(seeded: Platform) -> None:
    seed = seeded.results[0]
    totals = seeded.totals()
    ledgers = {name: read_ledger(seeded.lake.load(f"bronze.{name}")) for name in ("orders", "order_items")}
    assert ledgers["orders"]
    assert ledgers["order_items"]
    assert seed.run_id == ledgers["orders"].run_id == ledgers["order_items"].batch_id
    rows = facts(seed)
    assert rows["bronze.orders"]["rows_appended"] == 300
    assert rows["bronze.customers"]["dagster/row_count"] == 40
    assert rows["bronze.products"]["dagster/row_count"] == 15
    assert totals["gold.orders"].rows >= 300
    assert totals["bronze.orders"] == totals["gold.orders"]
    assert (totals["bronze.orders"].rows, totals["bronze.orders"].cents) == (
        ledgers["orders"].rows,
        ledgers["orders"].cents,
    )
    assert (
        totals["gold.daily_revenue"].cents == totals["gold.customers"].cents == totals["bronze.orders"].cents
    )
    assert totals["gold.products"].cents == totals["bronze.order_items"].cents


def test_each_table_is_told_with_its_rows_snapshot_and_trace(seeded: Platform) -> None:
    result = seeded.run("generate_orders_job", {"orders": 7, "customers": 1})
    known = facts(result)
    for identifier in ("bronze.orders", "bronze.order_items", "gold.orders", "gold.daily_revenue"):
        snapshot = seeded.lake.load(identifier).current_snapshot()
        assert snapshot
        assert known[identifier]["snapshot_id"] == str(snapshot.snapshot_id)
        assert known[identifier]["dagster/row_count"] == seeded.rows(identifier)
        trace = uuid.UUID(result.run_id).hex
        assert known[identifier]["trace_id"] == trace
        assert known[identifier]["trace"] == f"http://jaeger.example:16686/trace/{trace}"
    assert known["bronze.orders"]["rows_appended"] == known["gold.orders"]["rows_committed"] == 7
    assert known["bronze.products"]["rows_appended"] == 0
    assert not failed_checks(result)
    assert {check.check_name for check in result.get_asset_check_evaluations()} == {
        spec.name for spec in marts.check_specs
    }


def test_seeding_a_filled_lake_adds_nothing(seeded: Platform) -> None:
    before = seeded.totals()
    assert seeded.run("seed_job", {"orders": 999}).success
    assert seeded.totals() == before


def test_a_retried_run_keeps_the_batch_id_of_the_first_try(seeded: Platform) -> None:
    first, retry = str(uuid.uuid4()), str(uuid.uuid4())
    with step_of(
        dg.DagsterRun("generate_orders_job", retry, root_run_id=first, parent_run_id=first), "bronze"
    ) as work:
        assert (work.batch_id, work.run_id) == (first, retry)
    with step_of(dg.DagsterRun("generate_orders_job", first), "bronze") as work:
        assert work.batch_id == first


def test_one_mart_can_be_materialized_alone(seeded: Platform) -> None:
    assert seeded.run("generate_orders_job", {"orders": 5}).success
    assets_only = defs.resolve_implicit_global_asset_job_def()
    bronze_alone = [
        dg.AssetKey(["bronze", name]) for name in ("customers", "products", "orders", "order_items")
    ]
    assert assets_only.execute_in_process(instance=seeded.instance, asset_selection=bronze_alone).success
    before = seeded.totals()
    assert before["bronze.orders"].rows == before["gold.orders"].rows + seeded.settings.cycle_orders
    alone = assets_only.execute_in_process(
        instance=seeded.instance, asset_selection=[dg.AssetKey(["gold", "products"])]
    )
    assert set(facts(alone)) == {"gold.products"}
    after = seeded.totals()
    assert after["gold.products"].cents == after["bronze.order_items"].cents
    assert after["gold.orders"] == before["gold.orders"]
    assert seeded.run("generate_orders_job", {"orders": 1}).success  # leaves the marts whole
    assert seeded.totals()["gold.orders"] == seeded.totals()["bronze.orders"]


def test_a_failed_test_is_shown_at_its_table_and_is_not_tried_again(
    seeded: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = next(key for key in assets.specs.check_of if "order_total_is_the_sum_of_its_lines" in key)
    nodes = [
        NodeResult("model.floe.int_pending_totals", "model", "int_pending_totals", "success", 0.1),
        NodeResult(broken, "test", "order_total_is_the_sum_of_its_lines", "fail", 0.1, "Got 3 results"),
        NodeResult("model.floe.orders", "model", "orders", "skipped", 0.0),
    ]
    tries = []

    def build(*_: object, **__: object) -> TransformResult:
        tries.append(1)
        raise BuildError(
            "order_total_is_the_sum_of_its_lines: Got 3 results", TransformResult(False, nodes, 0.2)
        )

    monkeypatch.setattr(runner, "build", build)
    result = seeded.run("generate_orders_job", {"orders": 1})
    monkeypatch.undo()
    assert not result.success
    assert failed_checks(result) == {"order_total_is_the_sum_of_its_lines"}
    (check,) = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert check.asset_key == dg.AssetKey(["intermediate", "int_pending_totals"])
    assert check.description == "Got 3 results"
    assert "gold.orders" not in facts(result)
    assert len(tries) == 1
    assert seeded.run("generate_orders_job", {"orders": 1}).success  # and the next run makes up for it
    assert seeded.totals()["gold.orders"] == seeded.totals()["bronze.orders"]


def test_a_step_that_met_a_passing_trouble_is_tried_again(
    seeded: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = runner.build, []

    def build(*arguments: Any, **options: Any) -> TransformResult:
        tries.append(1)
        if len(tries) == 1:
            node = NodeResult("model.floe.orders", "model", "orders", "error", 0.1, "503 Slow Down")
            raise BuildError("model orders: 503 Slow Down", TransformResult(False, [node], 0.1))
        return real(*arguments, **options)

    monkeypatch.setattr(runner, "build", build)
    before = seeded.rows("gold.orders")
    assert seeded.run("generate_orders_job", {"orders": 3}).success
    assert len(tries) == 2
    assert seeded.rows("gold.orders") == before + 3


def test_tables_that_were_lost_in_mid_run_are_left_to_the_seed(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert platform.run("seed_job").success
    tries = []

    def lose(lake: Lake, **_: object) -> NoReturn:
        tries.append(1)
        for spec in BRONZE:
            lake.catalog.drop_table(spec.identifier)
        raise OSError("The Access Key Id you provided does not exist in our records")

    monkeypatch.setattr(assets, "append_batch", lose)
    result = platform.run("generate_orders_job", {"orders": 5})
    monkeypatch.undo()
    assert not result.success
    assert len(tries) == 1
    (failed,) = result.get_step_failure_events()
    assert "the sensor seeds them" in str(failed.step_failure_data.error)
    assert platform.run("seed_job").success
    assert platform.rows("gold.orders") == platform.settings.seed_orders


def test_maintenance_tells_real_counts_of_every_table(seeded: Platform) -> None:
    result = seeded.run("maintenance_job")
    assert result.success
    told = {
        ".".join(event.asset_observation_data.asset_observation.asset_key.path): {
            name: value.value
            for name, value in event.asset_observation_data.asset_observation.metadata.items()
        }
        for event in result.all_events
        if event.event_type is dg.DagsterEventType.ASSET_OBSERVATION
    }
    assert set(told) == {f"bronze.{name}" for name in ("customers", "products", "orders", "order_items")} | {
        f"gold.{name}" for name in ("orders", "customers", "products", "daily_revenue")
    }
    files = seeded.lake.load("bronze.orders").inspect.files()
    assert told["bronze.orders"]["live_files"] == len(files)


def test_whole_table_checks_pass_and_then_find_a_removed_row(seeded: Platform) -> None:
    good = seeded.run("check_tables_job")
    assert good.success
    assert not failed_checks(good)
    table = seeded.lake.catalog.load_table("bronze.order_items")
    table.delete("order_id == 17")
    bad = seeded.run("check_tables_job")
    assert bad.success  # the job did its work: it is the tables that are not well
    assert "marts_equal_bronze" in failed_checks(bad)
