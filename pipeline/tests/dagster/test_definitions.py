"""What Dagster is told: names, layers, descriptions, a check for each dbt test, how runs are watched."""

from __future__ import annotations

import importlib
from importlib.resources import files
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.config import PoolGranularity

from floe_pipeline.definitions import defs
from floe_pipeline.defs import code_server
from floe_pipeline.defs.assets import POOL, bronze, marts, specs, whole_tables
from floe_pipeline.defs.run_launcher import CodeServerRunLauncher

BRONZE_TABLES = {"customers", "products", "orders", "order_items"}
GOLD_TABLES = {"orders", "customers", "products", "daily_revenue"}


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    return defs.get_repository_def()


def test_definitions_are_valid_and_have_their_promised_names(repository: dg.RepositoryDefinition) -> None:
    dg.Definitions.validate_loadable(defs)
    jobs = {job.name for job in repository.get_all_jobs()}
    assert {"seed_job", "generate_orders_job", "maintenance_job"} <= jobs
    sensor = repository.get_sensor_def("empty_tables_sensor")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 30
    schedule = repository.get_schedule_def("generate_orders_schedule")
    assert (schedule.cron_schedule, schedule.default_status) == (
        "*/5 * * * *",
        dg.DefaultScheduleStatus.RUNNING,
    )


def test_assets_lie_in_layers_and_depend_on_each_other_as_in_dbt() -> None:
    graph = defs.resolve_asset_graph()
    by_layer: dict[str, set[str]] = {}
    for key in graph.get_all_asset_keys():
        layer, name = key.path
        by_layer.setdefault(layer, set()).add(name)
        assert graph.get(key).group_name == layer
    assert set(by_layer) == {"bronze", "staging", "intermediate", "gold", "cube"}
    assert by_layer["bronze"] == BRONZE_TABLES
    assert by_layer["gold"] == GOLD_TABLES
    for name in BRONZE_TABLES:
        assert dg.AssetKey(["bronze", name]) in graph.get(dg.AssetKey(["staging", f"stg_{name}"])).parent_keys
    for name in ("Orders", "Customers", "Products"):
        cube = graph.get(dg.AssetKey(["cube", name]))
        assert cube.parent_keys == {dg.AssetKey(["gold", name.lower()])}
        assert not cube.is_executable
    for name in GOLD_TABLES:
        above = dg.AssetSelection.assets(dg.AssetKey(["gold", name])).upstream().resolve(graph)
        assert {key.path[1] for key in above if key.path[0] == "bronze"} >= {"orders", "order_items"}


def test_every_asset_says_what_it_is_and_tables_describe_each_column() -> None:
    for spec in [*specs.bronze, *specs.models]:
        assert spec.description
        columns = spec.metadata["dagster/column_schema"].columns
        assert columns
        assert all(column.description for column in columns), spec.key
        if spec.key.path[0] in {"bronze", "gold"}:
            assert all(column.type != "?" for column in columns), spec.key


def test_every_dbt_test_is_one_check_at_a_table_it_reads() -> None:
    tests = {
        unique_id: node
        for unique_id, node in specs.manifest["nodes"].items()
        if node["resource_type"] == "test"
    }
    checks = [*marts.check_specs, *whole_tables.check_specs]
    assert len({check.key for check in checks}) == len(checks) == len(tests)
    assert set(specs.check_of) == set(tests)
    for unique_id, key in specs.check_of.items():
        assert key.name == tests[unique_id]["name"]
        assert key.asset_key in {specs.key_of[parent] for parent in tests[unique_id]["depends_on"]["nodes"]}
    # A check is refused a place in the step that does not run its test.
    assert all("full" not in tests[unique_id]["tags"] for unique_id in _of(list(marts.check_specs)))
    assert all("full" in tests[unique_id]["tags"] for unique_id in _of(list(whole_tables.check_specs)))


def _of(checks: list[dg.AssetCheckSpec]) -> list[str]:
    by_key = {key: unique_id for unique_id, key in specs.check_of.items()}
    return [by_key[check.key] for check in checks]


def test_rows_that_break_a_rule_block_what_comes_after() -> None:
    money_rule = dg.AssetCheckKey(
        dg.AssetKey(["intermediate", "int_pending_totals"]), "order_total_is_the_sum_of_its_lines"
    )
    assert next(check for check in marts.check_specs if check.key == money_rule).blocking


def test_every_step_that_touches_the_lake_takes_its_turn(repository: dg.RepositoryDefinition) -> None:
    steps = {node.name: node.definition for job in repository.get_all_jobs() for node in job.nodes}
    assert {bronze.op.name, marts.op.name, whole_tables.op.name, "maintain_tables"} <= set(steps)
    assert {name for name, op in steps.items() if op.pool != POOL} == set()  # type: ignore[attr-defined]


def test_the_embedded_instance_runs_one_at_a_time_and_retries_what_was_killed(tmp_path: Path) -> None:
    text = files("floe_pipeline.defs").joinpath("dagster.yaml").read_text()
    (tmp_path / "dagster.yaml").write_text(text)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_launcher, CodeServerRunLauncher)
        assert instance.run_launcher.supports_check_run_worker_health
        pools = instance.get_concurrency_config().pool_config
        assert (pools.pool_granularity, pools.default_pool_limit) == (PoolGranularity.RUN, 1)
        assert (instance.run_monitoring_enabled, instance.run_retries_enabled) == (True, True)
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert not instance.telemetry_enabled


def test_modules_that_runs_start_with_exist() -> None:
    """The fork server would pass over one that does not, and every run would be slow."""
    for name in code_server.PRELOADED:
        assert importlib.import_module(name)
