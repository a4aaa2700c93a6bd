"""FR-014: rows that are not the generator's are found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import pyarrow.compute as pc
import pytest

from floe_pipeline.lake.append import append_batch
from floe_pipeline.lake.catalog import Lake
from floe_stack.checks.generator import newest_batch_made_again
from floe_stack.errors import StackError
from floe_stack.lake import OutsideLake

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def append(lake: Lake, name: str, days: int) -> None:
    append_batch(
        lake, batch_id=name, seed=7, orders=50, customers=9, products=5,
        until=NOW + timedelta(days=days), start=NOW - timedelta(days=90),
    )  # fmt: skip


def test_a_batch_is_made_again_until_a_row_of_it_was_changed(lake: Lake) -> None:
    here = cast("OutsideLake", lake)  # what is loaded is read from where it lies
    append(lake, "seed", 0)
    assert newest_batch_made_again(here).seen.startswith(
        "batch 1 of seed 7, made again: 9 customers, 5 products"
    )
    append(lake, "next", 1)
    assert newest_batch_made_again(here).evidence["rows"] == {
        "customers": 9, "products": 5, "orders": 50, "order_items": _lines(lake, 50),
    }  # fmt: skip
    orders = lake.load("bronze.orders")
    changed = orders.scan(row_filter="order_id = 100").to_arrow()
    at = changed.schema.get_field_index("customer_id")
    changed = changed.set_column(at, changed.schema.field(at), pc.add(changed["customer_id"], -1))
    orders.overwrite(changed, overwrite_filter="order_id = 100")
    finding = newest_batch_made_again(here)
    assert not finding.passed
    assert finding.evidence["differences"] == ["bronze.orders: 50 rows, not the 50 of the generator"]


def _lines(lake: Lake, after: int) -> int:
    return len(lake.load("bronze.order_items").scan(row_filter=f"order_id > {after}").to_arrow())


def test_an_empty_lake_says_what_to_do(lake: Lake) -> None:
    with pytest.raises(StackError, match="make status"):
        newest_batch_made_again(cast("OutsideLake", lake))
