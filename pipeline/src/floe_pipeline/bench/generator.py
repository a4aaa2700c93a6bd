"""How fast the generator is, against a row-by-row Faker loop, and how much memory it takes.

Speed is rows in a second of this process' CPU time: what one core does, whatever else the machine is doing.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from floe_pipeline.bench.naive import naive_shop
from floe_pipeline.verify.evidence import Check
from floe_synthetic import Batch, EcommerceGenerator

ROWS_PER_SECOND: Final = 2_000_000  # promised, orders and order items together
TIMES_NAIVE: Final = 50  # promised
MEBIBYTES: Final = 1024  # promised for ten million orders
ORDERS: Final = 500_000  # enough for a stable number, a quarter of a second
NAIVE_ORDERS: Final = 2_000
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)

# Memory is the peak of a process that does nothing else. On Linux that is VmHWM: ru_maxrss would count the
# memory of the parent too, from before the program was loaded.
_MEMORY_PROGRAM: Final = """
import pathlib, re, resource, sys
from datetime import datetime
from floe_synthetic import EcommerceGenerator
orders, start, end = int(sys.argv[1]), *map(datetime.fromisoformat, sys.argv[2:])
generator = EcommerceGenerator()
shop = generator.initial_state(start)
for batch in generator.batches(shop, until=end, orders=orders, customers=orders // 10 + 1, products=500):
    pass
if sys.platform == "linux":
    kibibytes = re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]
    print(int(kibibytes) // 2**10)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**20)
"""


@dataclass(frozen=True)
class Throughput:
    """Rows made and the CPU seconds that it took."""

    rows: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Rows in a second of CPU time."""
        return self.rows / self.seconds


def check_generator(*, memory_orders: int) -> list[Check]:
    """Measure and judge the generator.

    Args:
        memory_orders: Orders made by the process whose memory is measured; the promise is for ten million.
    """
    began = time.perf_counter()
    fast = measure_generator(ORDERS)
    naive = measure_naive(NAIVE_ORDERS)
    all_rows = measure_generator(NAIVE_ORDERS * 100, every_table=True)
    ratio = all_rows.per_second / naive.per_second
    speed_seconds = time.perf_counter() - began
    peak = peak_memory(memory_orders)
    memory_seconds = time.perf_counter() - began - speed_seconds
    return [
        Check(
            "FR-014.speed",
            f"The generator makes {ROWS_PER_SECOND:,} orders and order items a second on one core",
            fast.per_second >= ROWS_PER_SECOND,
            speed_seconds,
            {"rows": fast.rows, "cpu_seconds": fast.seconds, "rows_per_second": round(fast.per_second)},
        ),
        Check(
            "FR-014.ratio",
            f"The generator is {TIMES_NAIVE} times as fast as a row-by-row Faker loop",
            ratio >= TIMES_NAIVE,
            speed_seconds,
            {
                "rows_per_second": round(all_rows.per_second),
                "naive_rows_per_second": round(naive.per_second),
                "ratio": round(ratio, 1),
            },
        ),
        Check(
            "FR-014.memory",
            f"The generator makes {memory_orders:,} orders within {MEBIBYTES:,} MiB",
            peak < MEBIBYTES,
            memory_seconds,
            {"orders": memory_orders, "peak_mebibytes": peak},
        ),
    ]


def measure_generator(orders: int, *, every_table: bool = False) -> Throughput:
    """Two years of a shop: rows of orders and order items, or of all tables."""
    began = time.process_time()
    generator = EcommerceGenerator()
    pieces = generator.batches(
        generator.initial_state(START), until=END, orders=orders, customers=orders // 10, products=200
    )
    rows = sum(_rows(piece, every_table=every_table) for piece in pieces)
    return Throughput(rows, time.process_time() - began)


def measure_naive(orders: int) -> Throughput:
    """The naive loop over a shop of the same proportions: rows of all tables."""
    began = time.process_time()
    shop = naive_shop(customers=orders // 10, products=200, orders=orders)
    return Throughput(sum(len(rows) for rows in shop.values()), time.process_time() - began)


def peak_memory(orders: int) -> int:
    """Most memory in MiB that a process takes which makes so many orders piece by piece."""
    command = [sys.executable, "-c", _MEMORY_PROGRAM, str(orders), START.isoformat(), END.isoformat()]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603


def _rows(piece: Batch, *, every_table: bool) -> int:
    if every_table:
        return sum(table.num_rows for table in piece.tables().values())
    return piece.orders.num_rows + piece.order_items.num_rows
