"""The copy that a command outside the cluster makes gives the same verdicts as the lake itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from floe_pipeline.lake.append import append_batch
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.tables import SPECS
from floe_pipeline.settings import Settings
from floe_pipeline.transform import runner
from floe_pipeline.verify.checks import run_checks
from floe_pipeline.verify.rules import check_rules
from floe_pipeline.verify.totals import check_totals
from floe_stack.lake import OutsideLake, copied, ledger_totals, row_counts, snapshot_ids

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ORDERS = 120


@pytest.fixture(scope="module")
def outside(module_lake: Lake, module_settings: Settings) -> OutsideLake:
    append_batch(
        module_lake,
        batch_id="seed",
        seed=7,
        orders=ORDERS,
        customers=30,
        products=20,
        until=NOW,
        start=NOW - timedelta(days=90),
    )
    runner.build(module_settings, lake=module_lake)
    return OutsideLake(module_settings, "http://127.0.0.1:1")


def test_the_copy_is_judged_like_the_lake(outside: OutsideLake, module_settings: Settings) -> None:
    tables = outside.tables()
    with copied(tables) as engine:
        checks = [check_totals(engine, ledger_totals(tables)), *check_rules(engine)]
    itself = run_checks(outside.lake, module_settings)
    assert [(check.id, check.passed) for check in checks] == [(check.id, True) for check in itself]
    assert checks[0].evidence["quantities"] == itself[0].evidence["quantities"]


def test_tables_stay_at_the_snapshot_they_were_loaded_at(outside: OutsideLake, module_lake: Lake) -> None:
    before = outside.tables()
    append_batch(module_lake, batch_id="next", seed=7, orders=5, until=NOW + timedelta(days=1))
    with copied(before) as engine:
        assert engine.execute("SELECT count(*) FROM lake.bronze.orders").fetchone() == (ORDERS,)
    now = outside.tables()
    assert row_counts(now)["bronze.orders"] == ORDERS + 5
    moved = {name for name, snapshot in snapshot_ids(now).items() if snapshot != snapshot_ids(before)[name]}
    assert moved == {"bronze.orders", "bronze.order_items"}


def test_storage_is_reached_at_our_address_with_nothing_but_what_was_vended(outside: OutsideLake) -> None:
    properties = outside.load("gold.orders").io.properties
    assert properties["s3.endpoint"] == "http://127.0.0.1:1"
    assert set(outside.tables()) == set(SPECS)
