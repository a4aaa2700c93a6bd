"""A small shop that grows batch by batch, and answers about it computed without dbt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from floe_pipeline.lake.append import append_batch
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.settings import Settings
from floe_pipeline.transform import runner
from floe_pipeline.transform.runner import TransformResult

START = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass
class Shop:
    """A lake of the test's own, filled by the real generator and append."""

    settings: Settings
    lake: Lake
    until: datetime = START
    batches: int = field(default=0)

    def add(self, *, orders: int, customers: int = 0, products: int = 0, days: float = 1.0) -> None:
        """Commit one more batch to bronze."""
        self.until += timedelta(days=days)
        self.batches += 1
        append_batch(
            self.lake,
            batch_id=f"batch-{self.batches}",
            seed=11,
            orders=orders,
            customers=customers,
            products=products,
            until=self.until,
            start=START,
        )

    def build(self, **options: object) -> TransformResult:
        return runner.build(self.settings, lake=self.lake, **options)  # type: ignore[arg-type]

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Ask a DuckDB connection of its own."""
        with self.lake.duckdb_connect() as connection:
            return connection.execute(sql).fetchall()

    def one(self, sql: str) -> object:
        ((value,),) = self.rows(sql)
        return value

    def snapshots(self, mart: str) -> int:
        """How many commits the mart has had."""
        return len(self.lake.load(f"gold.{mart}").metadata.snapshots)

    def contents(self, mart: str) -> list[tuple[object, ...]]:
        """All rows of a mart in a fixed order."""
        return self.rows(f"SELECT * FROM lake.gold.{mart} ORDER BY ALL")


@pytest.fixture
def shop(settings: Settings, lake: Lake) -> Iterator[Shop]:
    """A shop with a seed: 60 customers, 20 products, 400 orders over a year; marts not built yet."""
    made = Shop(settings, lake)
    made.add(orders=400, customers=60, products=20, days=365)
    yield made
    runner._disconnect()
