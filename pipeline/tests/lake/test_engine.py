"""DuckDB on the lake: offline extensions, fresh reads, no writes by accident, UTC, no secrets in errors."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import lake_writers
from floe_pipeline.lake import engine
from floe_pipeline.lake.catalog import Lake, TableTotals
from floe_pipeline.lake.publish import publish
from floe_pipeline.settings import Settings, load_settings


def test_two_processes_install_the_extensions_at_once(
    module_settings: Settings, tmp_path: Path, start_process: Callable[..., BaseProcess]
) -> None:
    folder = tmp_path / "cache"
    settings = load_settings(**{**module_settings.model_dump(), "duckdb_extension_directory": folder})
    crowd = [start_process(lake_writers.install_extensions, settings) for _ in range(2)]
    for process in crowd:
        process.join(90)
    assert [process.exitcode for process in crowd] == [0, 0]
    assert [path.name for path in folder.iterdir()] == [f"duckdb-{duckdb.__version__}"]
    assert engine.extension_directory(settings) == folder / f"duckdb-{duckdb.__version__}"


def test_an_open_connection_sees_each_commit_at_once(module_lake: Lake) -> None:
    publish(module_lake, "gold.fresh", pa.table({"id": [1]}), mode="replace")
    with module_lake.duckdb_connect() as connection:
        for number in range(2, 5):
            publish(module_lake, "gold.fresh", pa.table({"id": [number]}), mode="append", watermark="id")
            assert connection.execute("SELECT max(id) FROM lake.gold.fresh").fetchone() == (number,)
        zone = connection.execute("SELECT current_setting('TimeZone')").fetchone()
    assert zone == ("UTC",)


def test_a_reader_cannot_write(module_lake: Lake) -> None:
    publish(module_lake, "gold.safe", pa.table({"id": [1]}), mode="replace")
    with module_lake.duckdb_connect() as connection, pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("INSERT INTO lake.gold.safe VALUES (2)")
    with module_lake.duckdb_connect(read_only=False) as connection:
        connection.execute("INSERT INTO lake.gold.safe VALUES (2)")
        assert connection.execute("SELECT count(*) FROM lake.gold.safe").fetchone() == (2,)


def test_nothing_is_downloaded(module_lake: Lake) -> None:
    with module_lake.duckdb_connect() as connection:
        assert connection.execute("SELECT current_setting('autoinstall_known_extensions')").fetchone() == (
            False,
        )


def test_errors_show_no_secret(module_settings: Settings) -> None:
    secret = "hunter2'; DROP"
    wrong = load_settings(**{**module_settings.model_dump(), "catalog_client_secret": secret})
    with pytest.raises(duckdb.Error) as caught:
        engine.connect(wrong)
    assert "hunter2" not in str(caught.value)


def test_totals_are_counted_from_the_data(seeded: Lake) -> None:
    orders = seeded.load("bronze.orders").scan().to_arrow()
    totals = seeded.table_totals()
    cents = sum(int(amount.scaleb(2)) for amount in orders["total_amount"].to_pylist())
    assert totals["bronze.orders"] == TableTotals(rows=200, cents=cents)
    assert totals["bronze.order_items"].cents == cents
    assert totals["bronze.customers"] == TableTotals(rows=50, cents=0)
    seeded.load("bronze.orders").delete("order_id = 7")
    assert seeded.table_totals()["bronze.orders"].rows == 199
