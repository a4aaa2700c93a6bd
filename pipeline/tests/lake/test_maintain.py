"""Maintenance loses no row, no ledger and no file that is needed, and reports what it really did."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSelector
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from floe_pipeline.lake import compact as compact_module
from floe_pipeline.lake.append import append_batch
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.compact import compact, overfull
from floe_pipeline.lake.ledger import read_ledger
from floe_pipeline.lake.maintain import TableMaintenance, maintain, maintain_table
from floe_pipeline.lake.manifests import LiveFile
from floe_pipeline.lake.publish import publish
from floe_pipeline.settings import Settings
from lake_writers import NOW, append_cycle, append_seed

ORDERS = "bronze.orders"


def folder_of(lake: Lake, identifier: str) -> Path:
    return Path(lake.load(identifier).location().removeprefix("file://"))


def objects_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def rows_of(lake: Lake, identifier: str) -> list[dict[str, Any]]:
    found = lake.load(identifier).scan().to_arrow()
    return found.sort_by(found.column_names[0]).to_pylist()


def at_once(settings: Settings, **changes: int) -> Settings:
    values = {"compact_files": 3, "snapshot_keep_minutes": 0, "orphan_min_age_minutes": 0} | changes
    return settings.model_copy(update=values)


def by_table(results: list[TableMaintenance]) -> dict[str, TableMaintenance]:
    return {result.table: result for result in results}


def test_many_cycles_leave_few_files_and_the_same_rows(seeded: Lake) -> None:
    for number in range(1, 6):
        append_cycle(seeded, number)
    before = {name: rows_of(seeded, name) for name in (ORDERS, "bronze.order_items", "bronze.customers")}
    folder = folder_of(seeded, ORDERS)
    objects_before = {path: path.stat().st_size for path in objects_in(folder)}

    result = by_table(maintain(seeded, at_once(seeded.settings)))[ORDERS]

    assert {name: rows_of(seeded, name) for name in before} == before
    objects = objects_in(folder)
    gone = set(objects_before) - set(objects)
    assert result.files_compacted == 6
    assert result.live_files == seeded.load(ORDERS).inspect.files().num_rows < 7
    assert (result.objects, result.skipped) == (len(objects), [])
    assert result.orphans_deleted == len(gone) > 0
    assert result.bytes_deleted == sum(objects_before[path] for path in gone)
    assert result.snapshots_expired == 6 + 1 - len(seeded.load(ORDERS).metadata.snapshots) > 0
    merged = seeded.load(ORDERS).current_snapshot()
    assert merged is not None
    assert merged.summary is not None
    assert "floe.ledger" in merged.summary.additional_properties  # so that older snapshots can expire
    assert append_cycle(seeded, 5).already_applied
    assert append_cycle(seeded, 6).number == 7


def test_the_second_run_has_nothing_to_do(seeded: Lake) -> None:
    for number in range(1, 6):
        append_cycle(seeded, number)
    maintain(seeded, at_once(seeded.settings))
    location = seeded.load(ORDERS).metadata_location
    again = by_table(maintain(seeded, at_once(seeded.settings)))[ORDERS]
    assert (again.files_compacted, again.snapshots_expired) == (0, 0)
    assert seeded.load(ORDERS).metadata_location == location


def test_compaction_rewrites_a_row_only_a_few_times() -> None:
    """A week of cycles, a file each: a row is rewritten about once a tier, and the files stay few."""

    names = itertools.count()

    def file(size: int) -> LiveFile:
        return LiveFile(
            DataFile.from_args(file_path=f"{next(names)}.parquet", file_size_in_bytes=size), sequence=0
        )

    fan_in, cycles, size = 32, 7 * 288, 5_000
    files: list[LiveFile] = []
    rewritten = most = 0
    for _ in range(cycles):
        files.append(file(size))
        if chosen := overfull(files, fan_in):
            merged = sum(live.file.file_size_in_bytes for live in chosen)
            rewritten += merged
            left = {live.file.file_path for live in files} - {live.file.file_path for live in chosen}
            files = [*(live for live in files if live.file.file_path in left), file(merged)]
        most = max(most, len(files))
    assert sum(live.file.file_size_in_bytes for live in files) == cycles * size
    assert most <= 3 * fan_in
    assert rewritten < 3 * cycles * size


def test_an_append_during_compaction_is_not_lost(seeded: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 5):
        append_cycle(seeded, number)
    original = compact_module.write_files
    waiting: list[Callable[[], object]] = [lambda: append_cycle(seeded, 5)]

    def write_files(*args: Any) -> Any:
        files = original(*args)
        if waiting:
            waiting.pop()()
        return files

    monkeypatch.setattr(compact_module, "write_files", write_files)
    assert compact(seeded, ORDERS, 3).files == 6
    assert [row["order_id"] for row in rows_of(seeded, ORDERS)] == list(range(1, 301))


def test_compaction_gives_way_to_writers_that_never_pause(
    seeded: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 5):
        append_cycle(seeded, number)
    original = compact_module.write_files
    numbers = iter(range(5, 20))

    def write_files(*args: Any) -> Any:
        files = original(*args)
        append_cycle(seeded, next(numbers))
        return files

    monkeypatch.setattr(compact_module, "write_files", write_files)
    result = compact(seeded, ORDERS, 3)
    assert (result.files, result.skipped) == (0, "others committed each of 3 times; the next run tries again")
    assert [row["order_id"] for row in rows_of(seeded, ORDERS)] == list(range(1, 200 + 7 * 20 + 1))


def test_large_merges_are_cut_into_pieces(seeded: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 6):
        append_cycle(seeded, number)
    before = rows_of(seeded, ORDERS)
    sizes = seeded.load(ORDERS).inspect.files()["file_size_in_bytes"].to_pylist()
    monkeypatch.setattr(compact_module, "MERGED_BYTES", max(sizes))
    assert compact(seeded, ORDERS, 3).into > 1
    assert rows_of(seeded, ORDERS) == before


def test_expiry_keeps_the_ledger_however_old(seeded: Lake) -> None:
    table = seeded.load(ORDERS)
    empty = table.scan().to_arrow().slice(0, 0)
    for _ in range(8):
        table.append(empty)
    result = by_table(maintain(seeded, at_once(seeded.settings)))[ORDERS]
    assert result.snapshots_expired == 0  # all that lies between the ledger and now
    ledger = read_ledger(seeded.load(ORDERS))
    assert ledger is not None
    assert ledger.rows == 200
    assert append_seed(seeded).already_applied
    kept = by_table(maintain(seeded, at_once(seeded.settings, snapshot_keep_minutes=60)))
    assert kept["bronze.customers"].snapshots_expired == 0


def test_young_files_are_no_orphans(seeded: Lake) -> None:
    """A commit in flight has written its files, and nothing refers to them yet."""
    folder = folder_of(seeded, ORDERS) / "data"
    young, old = folder / "in-flight.parquet", folder / "left-behind.parquet"
    for path in (young, old):
        pq.write_table(pa.table({"x": [1]}), path)
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    result = by_table(maintain(seeded, at_once(seeded.settings, orphan_min_age_minutes=60)))[ORDERS]
    assert (result.orphans_deleted, young.exists(), old.exists()) == (1, True, False)
    assert len(rows_of(seeded, ORDERS)) == 200


def test_files_of_another_table_in_the_same_folder_are_no_orphans(module_lake: Lake) -> None:
    """Possible where a renamed table keeps its folder; catalogs that we know refuse it."""
    publish(module_lake, "gold.one", pa.table({"id": [1]}), mode="replace")
    location = module_lake.load("gold.one").location()
    result = TableMaintenance("gold.one")
    maintain_table(
        module_lake,
        at_once(module_lake.settings),
        {"gold.one": location, "gold.renamed": f"{location}/", "gold.one_more": f"{location}_more"},
        result,
    )
    assert result.skipped == ["orphans: gold.renamed has files in the same folder"]


def test_a_storage_that_refuses_to_list_is_said(module_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(module_lake, "gold.hidden", pa.table({"id": [1]}), mode="replace")

    class NoListing:
        def __init__(self, filesystem: Any) -> None:
            self._filesystem = filesystem

        def __getattr__(self, name: str) -> Any:
            return getattr(self._filesystem, name)

        def get_file_info(self, path: Any) -> Any:
            if isinstance(path, FileSelector):
                raise PermissionError("AccessDenied")
            return self._filesystem.get_file_info(path)

    original = module_lake.load

    def load(identifier: str) -> Table:
        table = original(identifier)
        by_scheme = table.io.fs_by_scheme  # type: ignore[attr-defined]
        table.io.fs_by_scheme = lambda *where: NoListing(by_scheme(*where))  # type: ignore[attr-defined]
        return table

    monkeypatch.setattr(module_lake, "load", load)
    result = by_table(maintain(module_lake, at_once(module_lake.settings)))["gold.hidden"]
    assert (result.live_files, result.objects) == (1, None)
    assert "needs s3:ListBucket" in result.skipped[0]


def test_row_deletes_of_another_engine_are_respected(seeded: Lake) -> None:
    for number in range(1, 5):
        append_cycle(seeded, number)
    with seeded.duckdb_connect(read_only=False) as connection:
        connection.execute("DELETE FROM lake.bronze.orders WHERE order_id = 250")
    result = by_table(maintain(seeded, at_once(seeded.settings)))[ORDERS]
    assert result.files_compacted == 0
    assert "row-level deletes" in result.skipped[0]
    with seeded.duckdb_connect() as connection:
        found = connection.execute("SELECT count(*) FROM lake.bronze.orders").fetchone()
    assert found == (200 + 4 * 20 - 1,)
    assert append_batch(
        seeded, batch_id="after", seed=42, orders=5, until=NOW.replace(year=2025)
    ).number == 6  # fmt: skip
