"""A mart is published in one commit: a reader sees it as it was or as it is, never anything between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog

from floe_pipeline.lake import publish as publish_module
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.manifests import live_files
from floe_pipeline.lake.publish import publish
from floe_pipeline.lake.tables import MANIFEST_PROPERTIES

MART = "gold.spend"


def spend(ids: range, total: str = "1.50", **more: list[Any]) -> pa.Table:
    money = pa.array([Decimal(total)] * len(ids), pa.decimal128(18, 2))
    columns: dict[str, Any] = {"id": list(ids), "total": money}
    return pa.table(columns | more)


def ids_of(lake: Lake, mart: str = MART) -> list[int]:
    return sorted(lake.load(mart).scan().to_arrow()["id"].to_pylist())


def interrupt(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Let `action` happen once, between deciding on a commit and committing."""
    original = publish_module.write_files
    waiting = [action]

    def write_files(*args: Any) -> Any:
        files = original(*args)
        if waiting:
            waiting.pop()()
        return files

    monkeypatch.setattr(publish_module, "write_files", write_files)


def test_replace_is_one_commit_and_one_snapshot(module_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(module_lake, "gold.one", spend(range(3)), mode="replace")
    commits = []
    original = RestCatalog.commit_table

    def commit_table(*args: Any) -> Any:
        commits.append(args)
        return original(*args)

    monkeypatch.setattr(RestCatalog, "commit_table", commit_table)
    result = publish(module_lake, "gold.one", spend(range(10, 15)), mode="replace")
    table = module_lake.load("gold.one")
    assert len(commits) == 1
    assert len(table.metadata.snapshots) == 2
    assert (table.current_snapshot().snapshot_id, result.rows) == (result.snapshot_id, 5)  # type: ignore[union-attr]
    assert ids_of(module_lake, "gold.one") == [10, 11, 12, 13, 14]


def test_a_reader_never_sees_a_mart_empty_partial_or_missing(module_lake: Lake) -> None:
    mart, rows = "gold.watched", 40
    publish(module_lake, mart, spend(range(rows), total="0.00"), mode="replace")
    seen: list[tuple[int, int]] = []
    stop = threading.Event()

    def read() -> None:
        with module_lake.duckdb_connect() as connection:
            while not stop.is_set() or not seen:
                found = connection.execute(f"SELECT count(*), count(DISTINCT total) FROM lake.{mart}")
                seen.append(found.fetchone())  # type: ignore[arg-type]

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(1, 16):
            publish(module_lake, mart, spend(range(rows), total=f"{number}.00"), mode="replace")
    finally:
        stop.set()
        reader.join()
    assert set(seen) == {(rows, 1)}


def test_what_others_removed_is_not_carried_along(module_lake: Lake) -> None:
    """A commit's list of removed files must not stay in every later one: 288 a day."""
    for number in range(4):
        publish(module_lake, "gold.lean", spend(range(number, number + 2)), mode="replace")
    table = module_lake.load("gold.lean")
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(table.io)) == 2  # what is there, and what this commit removed
    assert table.properties["write.metadata.delete-after-commit.enabled"] == "true"


def test_appends_leave_few_manifests_and_each_file_its_age(module_lake: Lake) -> None:
    """A question costs a reader about a millisecond a manifest; compaction goes by the files' ages."""
    mart = "gold.appended"
    publish(module_lake, mart, spend(range(2)), mode="append", watermark="id")
    with module_lake.load(mart).transaction() as transaction:  # as a table of an earlier version
        transaction.remove_properties(*MANIFEST_PROPERTIES)
    for number in range(1, 5):
        publish(module_lake, mart, spend(range(2 * number, 2 * number + 2)), mode="append", watermark="id")
    table = module_lake.load(mart)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(table.io)) == 1
    assert [(live.sequence, live.file.record_count) for live in live_files(table)] == [
        (sequence, 2) for sequence in range(1, 6)
    ]
    assert ids_of(module_lake, mart) == list(range(10))


def test_a_new_column_comes_with_the_rows_in_the_same_commit(module_lake: Lake) -> None:
    publish(module_lake, "gold.grown", spend(range(2)), mode="replace")
    publish(module_lake, "gold.grown", spend(range(2, 4), segment=["a", "b"]), mode="append", watermark="id")
    found = module_lake.load("gold.grown").scan().to_arrow().sort_by("id").to_pydict()
    assert found["segment"] == [None, None, "a", "b"]
    assert found["total"] == [Decimal("1.50")] * 4


def test_types_stay_and_what_does_not_fit_is_named(module_lake: Lake) -> None:
    publish(module_lake, "gold.typed", spend(range(2)), mode="replace")
    before = module_lake.load("gold.typed").schema()
    wide = spend(range(3)).set_column(1, "total", pa.array([Decimal(1)] * 3, pa.decimal128(38, 2)))
    publish(module_lake, "gold.typed", wide, mode="replace")
    assert module_lake.load("gold.typed").schema() == before
    words = pa.table({"id": ["one"], "total": [Decimal("1.00")]})
    with pytest.raises(LakeError, match=r"gold\.typed\.id: string does not fit the table's int64"):
        publish(module_lake, "gold.typed", words, mode="replace")


def test_a_known_mart_gets_its_partitions_and_required_columns(module_lake: Lake) -> None:
    schema = publish_module.SPECS["gold.daily_revenue"].schema.as_arrow()
    null = pa.table({name: pa.nulls(1, schema.field(name).type) for name in schema.names})
    with pytest.raises(LakeError, match=r"gold\.daily_revenue\.order_date: 1 nulls"):
        publish(module_lake, "gold.daily_revenue", null, mode="replace")
    orders = publish_module.SPECS["gold.orders"].schema.as_arrow().empty_table()
    publish(module_lake, "gold.orders", orders, mode="append", watermark="order_id")
    table = module_lake.load("gold.orders")
    assert [field.name for field in table.spec().fields] == ["ordered_at_year"]
    assert table.schema().find_field("order_id").required


def test_rows_that_were_published_meanwhile_are_not_appended_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(lake, MART, spend(range(5)), mode="append", watermark="id")
    interrupt(monkeypatch, lambda: publish(lake, MART, spend(range(5, 8)), mode="append", watermark="id"))
    result = publish(lake, MART, spend(range(5, 10)), mode="append", watermark="id")
    assert result.rows == 2
    assert ids_of(lake) == list(range(10))
    assert publish(lake, MART, spend(range(10)), mode="append", watermark="id").rows == 0


def test_append_by_property_alone_is_all_or_nothing(module_lake: Lake) -> None:
    for _ in range(2):
        publish(
            module_lake,
            "gold.plain",
            spend(range(5)),
            mode="append",
            snapshot_properties={"floe.through": "4"},
        )
    assert ids_of(module_lake, "gold.plain") == list(range(5))
    with pytest.raises(ValueError, match="needs a watermark column"):
        publish(module_lake, "gold.plain", spend(range(5)), mode="append")


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_two_that_create_a_mart_at_once(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, mode: publish_module.Mode
) -> None:
    interrupt(monkeypatch, lambda: publish(lake, MART, spend(range(3)), mode=mode, watermark="id"))
    publish(lake, MART, spend(range(6)), mode=mode, watermark="id")
    assert ids_of(lake) == list(range(6))


def test_a_replace_that_lost_the_race_replaces_what_won(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(lake, MART, spend(range(2)), mode="replace")
    interrupt(monkeypatch, lambda: publish(lake, MART, spend(range(50, 60)), mode="replace"))
    publish(lake, MART, spend(range(7)), mode="replace", snapshot_properties={"floe.run_id": "r"})
    assert ids_of(lake) == list(range(7))
    summary = lake.load(MART).current_snapshot().summary  # type: ignore[union-attr]
    assert summary.additional_properties["floe.run_id"] == "r"  # type: ignore[union-attr]


def test_giving_up_says_why(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(lake, MART, spend(range(2)), mode="replace")
    monkeypatch.setattr("floe_pipeline.lake.commit.ATTEMPTS", 3)
    original = publish_module.write_files

    def always_beaten(*args: Any) -> Any:
        files = original(*args)
        lake.load(MART).append(spend(range(1)))
        return files

    monkeypatch.setattr(publish_module, "write_files", always_beaten)
    with pytest.raises(LakeError, match=r"publishing gold\.spend: gave up after 3 attempts"):
        publish(lake, MART, spend(range(2)), mode="replace")
