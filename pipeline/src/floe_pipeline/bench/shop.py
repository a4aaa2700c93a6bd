"""A lake whose every step is timed: seed it, run cycles on it, count its files."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final

from floe_pipeline.lake.append import append_batch
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.manifests import live_files
from floe_pipeline.settings import Settings
from floe_pipeline.transform.runner import build

CYCLE: Final = timedelta(minutes=5)
TODAY: Final = datetime(2025, 6, 1, tzinfo=UTC)  # a fixed one: every bench makes the same rows


@dataclass(frozen=True)
class Timing:
    """What a batch cost: seconds by step, and CPU seconds of this process (catalog and engine included)."""

    append: float
    transform: float
    total: float
    cpu: float

    def rounded(self) -> dict[str, float]:
        """For the evidence file."""
        return {step: round(seconds, 3) for step, seconds in asdict(self).items()}


def median_timing(timings: list[Timing]) -> Timing:
    """Each step's median."""
    return Timing(
        *(median(getattr(each, step) for each in timings) for step in ("append", "transform", "total", "cpu"))
    )


class Shop:
    """A lake in which a shop's history grows.

    Opening it runs a tiny batch, untimed, so that no measurement pays for imports, dbt's parsing or DuckDB's
    extensions.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lake = Lake.connect(settings)
        self.lake.ensure_tables()
        self._until = TODAY - timedelta(days=settings.history_days)
        self._batches = 0
        self.batch(self._until + CYCLE, orders=10, customers=10, products=settings.seed_products)

    def seed(self, orders: int) -> Timing:
        """History up to today; a tenth as many customers as orders."""
        return self.batch(TODAY, orders=orders, customers=max(orders // 10, 1))

    def cycle(self) -> Timing:
        """What the schedule does every five minutes."""
        orders, customers = self.settings.cycle_orders, self.settings.cycle_customers
        return self.batch(self._until + CYCLE, orders=orders, customers=customers)

    def batch(self, until: datetime, *, orders: int, customers: int, products: int = 0) -> Timing:
        """Append a batch and bring the marts up to it."""
        self._batches += 1
        began, began_cpu = time.perf_counter(), time.process_time()
        appended = append_batch(
            self.lake,
            batch_id=f"bench-{self._batches}",
            seed=self.settings.seed,
            orders=orders,
            customers=customers,
            products=products,
            until=until,
            start=self._until,
        )
        built = build(self.settings, lake=self.lake)
        self._until = until
        total, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        return Timing(appended.seconds, built.seconds, total, cpu)

    def live_files(self) -> int:
        """Data files of all tables' current snapshots."""
        tables = [
            self.lake.load(identifier)
            for namespace in self.lake.catalog.list_namespaces()
            for identifier in self.lake.catalog.list_tables(namespace)
        ]
        return sum(len(live_files(table)) for table in tables)
