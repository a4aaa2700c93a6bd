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

MARTS = ("orders", "customers", "products", "daily_revenue")
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

    @property
    def orders(self) -> int:
        """Orders in bronze."""
        return int(self.one("SELECT count(*) FROM lake.bronze.orders"))  # type: ignore[call-overload, no-any-return]

    def snapshots(self) -> dict[str, int]:
        """The newest snapshot of each mart, by `gold.name`."""
        found = {f"gold.{name}": self.lake.load(f"gold.{name}").current_snapshot() for name in MARTS}
        return {name: snapshot.snapshot_id for name, snapshot in found.items() if snapshot}


@pytest.fixture
def shop(settings: Settings, lake: Lake) -> Iterator[Shop]:
    """A shop with a seed: 60 customers, 20 products, 400 orders over a year; marts not built yet."""
    yield _seeded(settings, lake)
    runner._disconnect()


@pytest.fixture(scope="module")
def open_shop(module_settings: Settings, module_lake: Lake) -> Iterator[Shop]:
    """A shop with a seed and its marts, shared by a module: each test leaves it whole, with marts built."""
    made = _seeded(module_settings, module_lake)
    made.build()
    yield made
    runner._disconnect()


def _seeded(settings: Settings, lake: Lake) -> Shop:
    made = Shop(settings, lake)
    made.add(orders=400, customers=60, products=20, days=365)
    return made
