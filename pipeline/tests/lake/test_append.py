"""Appends happen exactly once: replayed, resumed, killed, in a crowd, and when an answer is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitStateUnknownException

import lake_writers
from floe_pipeline.lake import append
from floe_pipeline.lake.append import append_batch
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.ledger import Ledger, read_ledger
from floe_pipeline.lake.tables import BRONZE
from floe_pipeline.settings import Settings
from floe_synthetic.ecommerce import EcommerceGenerator
from lake_writers import NOW, OPENING, SEED_BATCH, append_cycle, append_seed


def rows_of(lake: Lake, table: str) -> pa.Table:
    found = lake.load(f"bronze.{table}").scan().to_arrow()
    return found.sort_by(found.column_names[0])


def ledgers(lake: Lake) -> dict[str, Ledger]:
    found = {spec.name: read_ledger(lake.load(spec.identifier)) for spec in BRONZE}
    return {name: ledger for name, ledger in found.items() if ledger}


def assert_whole(lake: Lake) -> None:
    """Ids are dense, every reference resolves, and the ledgers say what the data say."""
    tables = {spec.name: rows_of(lake, spec.name) for spec in BRONZE}
    for name, rows in tables.items():
        assert rows.column(0).to_pylist() == list(range(1, rows.num_rows + 1)), name
    orders, items = tables["orders"], tables["order_items"]
    assert set(items["order_id"].to_pylist()) == set(orders["order_id"].to_pylist())
    assert set(items["product_id"].to_pylist()) <= set(tables["products"]["product_id"].to_pylist())
    assert set(orders["customer_id"].to_pylist()) <= set(tables["customers"]["customer_id"].to_pylist())
    found = ledgers(lake)
    for spec in BRONZE:
        rows = tables[spec.name]
        cents = sum(int(x.scaleb(2)) for x in rows[spec.money_column].to_pylist()) if spec.money_column else 0
        assert (found[spec.name].rows, found[spec.name].cents) == (rows.num_rows, cents), spec.name


def test_the_lake_holds_exactly_what_the_generator_made(seeded: Lake) -> None:
    append_cycle(seeded, 1)
    generator = EcommerceGenerator(42)
    first = generator.batch(
        generator.initial_state(OPENING), until=NOW, orders=200, customers=50, products=20
    )
    second = generator.batch(first.state, until=NOW + timedelta(minutes=5), orders=20, customers=2)
    for name in ("customers", "products", "orders", "order_items"):
        wanted = pa.concat_tables([first.tables()[name], second.tables()[name]])
        assert rows_of(seeded, name).cast(wanted.schema).equals(wanted), name
    assert_whole(seeded)


def test_a_batch_id_again_appends_nothing(seeded: Lake) -> None:
    append_cycle(seeded, 1)
    before = {spec.name: seeded.load(spec.identifier).metadata_location for spec in BRONZE}
    again = append_seed(seeded)
    assert (again.already_applied, again.number, sum(again.rows.values())) == (True, 1, 0)
    assert append_cycle(seeded, 1).number == 2
    assert {spec.name: seeded.load(spec.identifier).metadata_location for spec in BRONZE} == before


def test_orders_appear_last(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    committed = []
    original = RestCatalog.commit_table

    def commit_table(catalog: RestCatalog, table: Any, *args: Any) -> Any:
        committed.append(table.name()[-1])
        return original(catalog, table, *args)

    monkeypatch.setattr(RestCatalog, "commit_table", commit_table)
    append_seed(lake)
    assert committed == ["order_items", "products", "customers", "orders"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("commit", [1, 2, 3, 4])
def test_killed_at_a_commit_and_run_again(
    lake: Lake, start_process: Callable[..., BaseProcess], commit: int, moment: str
) -> None:
    process = start_process(lake_writers.append_and_die, lake.settings, SEED_BATCH, commit, moment)
    process.join(60)
    assert process.exitcode == -9

    again = append_batch(lake, **SEED_BATCH)

    assert again.number == 1
    claimed = (commit, moment) != (1, "before")
    assert again.already_applied == claimed
    assert again.rows["orders"] == (0 if (commit, moment) == (4, "after") else 200)
    assert_whole(lake)
    assert rows_of(lake, "orders").num_rows == 200


def test_another_batch_first_completes_the_one_that_was_left(
    seeded: Lake, start_process: Callable[..., BaseProcess]
) -> None:
    left = {"batch_id": "left", "seed": 42, "orders": 30, "until": NOW + timedelta(minutes=1)}
    process = start_process(lake_writers.append_and_die, seeded.settings, left, 1, "after")
    process.join(60)

    other = append_cycle(seeded, 1, "other")

    assert (other.number, other.rows["orders"]) == (3, 20)
    assert rows_of(seeded, "orders").num_rows == 200 + 30 + 20
    assert append_batch(seeded, **left).already_applied
    assert_whole(seeded)


def test_three_writers_and_maintenance_at_once(
    seeded: Lake, start_process: Callable[..., BaseProcess]
) -> None:
    eager = seeded.settings.model_copy(update={"compact_files": 2, "snapshot_keep_minutes": 0})
    crowd = [start_process(lake_writers.append_many, seeded.settings, name, 4) for name in "abc"]
    crowd.append(start_process(lake_writers.maintain_many, eager, 3))
    for process in crowd:
        process.join(120)
    assert [process.exitcode for process in crowd] == [0, 0, 0, 0]

    assert rows_of(seeded, "orders").num_rows == 200 + 3 * 4 * 10
    claim = ledgers(seeded)["order_items"].claim
    assert claim is not None
    assert sorted(claim.recent) == sorted(["seed", *(f"{name}-{n}" for name in "abc" for n in range(4))])
    assert ledgers(seeded)["orders"].number == 13
    assert_whole(seeded)


@pytest.mark.parametrize("landed", [True, False], ids=["landed", "lost"])
@pytest.mark.parametrize("commit", [1, 4], ids=["claim", "orders"])
def test_the_answer_to_a_commit_is_lost(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, commit: int, landed: bool
) -> None:
    original, count = RestCatalog.commit_table, 0

    def commit_table(*args: Any) -> Any:
        nonlocal count
        count += 1
        if count != commit:
            return original(*args)
        if landed:
            original(*args)
            raise CommitStateUnknownException("gateway timeout")
        raise requests.ConnectionError("connection reset")

    monkeypatch.setattr(RestCatalog, "commit_table", commit_table)
    result = append_seed(lake)
    assert (result.number, result.already_applied, result.rows["orders"]) == (1, False, 200)
    assert_whole(lake)


def test_a_request_that_was_given_up_lands_late(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request is still on its way while the second is made: only one of them can be taken."""
    original, late = RestCatalog.commit_table, []

    def commit_table(*args: Any) -> Any:
        if not late:
            late.append(args)
            raise requests.ReadTimeout("no answer in time")
        if len(late) == 1:
            late.append(None)
            original(*late[0])
        return original(*args)

    monkeypatch.setattr(RestCatalog, "commit_table", commit_table)
    append_seed(lake)
    assert rows_of(lake, "orders").num_rows == 200
    assert_whole(lake)


def test_foreign_snapshots_in_between_hide_nothing(seeded: Lake) -> None:
    for table in ("order_items", "orders"):
        foreign = seeded.load(f"bronze.{table}")
        foreign.append(foreign.scan().to_arrow().slice(0, 0))  # an engine's empty insert
    assert append_seed(seeded).already_applied
    assert append_cycle(seeded, 1).number == 2
    assert_whole(seeded)


def test_a_large_batch_is_written_in_pieces_and_is_the_same(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(append, "PIECE_ORDERS", 60)
    append_seed(lake)
    assert lake.load("bronze.order_items").inspect.files().num_rows == 4
    assert_whole(lake)
    generator = EcommerceGenerator(42)
    whole = generator.batch(
        generator.initial_state(OPENING), until=NOW, orders=200, customers=50, products=20
    )
    assert rows_of(lake, "orders").cast(whole.orders.schema).equals(whole.orders)


def test_a_writer_whose_time_was_taken_goes_right_after(seeded: Lake) -> None:
    append_cycle(seeded, 2)
    late = append_cycle(seeded, 1)
    assert late.number == 3
    assert rows_of(seeded, "orders")["ordered_at"].to_pylist() == sorted(
        rows_of(seeded, "orders")["ordered_at"].to_pylist()
    )
    with pytest.raises(ValueError, match="until: 2024-12-30"):
        append_cycle(seeded, -12 * 24)


def test_what_cannot_be_appended_is_refused_by_name(lake: Lake) -> None:
    with pytest.raises(ValueError, match="start: the lake is empty"):
        append_cycle(lake, 1)
    append_seed(lake)
    with pytest.raises(LakeError, match="seed 43: this lake was begun with seed 42"):
        append_batch(lake, batch_id="x", seed=43, orders=1, until=NOW + timedelta(days=1))
    with pytest.raises(ValueError, match=r"until: .* has no time zone"):
        append_batch(lake, batch_id="x", seed=42, orders=1, until=NOW.replace(tzinfo=None))


def test_a_ledger_that_was_lost_stops_the_writer(seeded: Lake) -> None:
    """Going on without it would give new orders the ids of old ones."""
    rows = seeded.load("bronze.order_items").scan().to_arrow()
    seeded.catalog.drop_table("bronze.order_items")
    seeded.ensure_tables()
    with pytest.raises(LakeError, match=r"bronze\.products has rows but bronze\.order_items has none"):
        append_cycle(seeded, 1)
    table = seeded.load("bronze.order_items")
    table.append(rows.cast(table.schema().as_arrow()))
    with pytest.raises(LakeError, match=r"no snapshot with floe\.ledger"):
        append_cycle(seeded, 1)


def test_the_ledger_names_run_and_batch(settings: Settings) -> None:
    lake = Lake.connect(settings)
    lake.ensure_tables()
    append_batch(lake, **SEED_BATCH, run_id="run-1")
    found = ledgers(lake)
    assert sorted(found) == ["customers", "order_items", "orders", "products"]
    assert {(ledger.run_id, ledger.batch_id) for ledger in found.values()} == {("run-1", "seed")}


def test_old_metadata_goes_by_itself_and_no_writer_complains(
    lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    kept = 2
    with lake.load("bronze.customers").transaction() as change:
        change.set_properties({"write.metadata.previous-versions-max": str(kept)})
    append_seed(lake)
    for number in range(1, kept + 3):
        append_cycle(lake, number)
    table = lake.load("bronze.customers")
    folder = Path(table.location().removeprefix("file://")) / "metadata"
    assert len(list(folder.glob("*.metadata.json"))) == kept + 1
    assert [record.message for record in caplog.records if "metadata" in record.message] == []
