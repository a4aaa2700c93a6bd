"""What a batch costs by its size, and what a cycle costs on top of a history of that size."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from floe_pipeline.bench.shop import Shop, Timing, median_timing
from floe_pipeline.embedded import embedded_platform
from floe_pipeline.verify.evidence import Check

CYCLES: Final = 5  # on top of each history; their median counts
HISTORY_FACTOR: Final = 2.0  # a cycle over the largest history costs at most this many times the smallest's


@dataclass(frozen=True)
class Size:
    """A history of `orders`: what it cost to make in one batch, and what a cycle on top of it costs."""

    orders: int
    seed: Timing
    cycle: Timing


def measure_sizes(home: Path, sizes: Sequence[int], progress: Callable[[str], None]) -> list[Size]:
    """Seed a lake of its own for each size, and run cycles on it."""
    measured = []
    for orders in sorted(sizes):
        with embedded_platform(home / f"orders-{orders}", fresh=True) as settings:
            shop = Shop(settings)
            size = Size(orders, shop.seed(orders), median_timing([shop.cycle() for _ in range(CYCLES)]))
        progress(
            f"{orders:>9,} orders: append {size.seed.append:.2f} s, transform {size.seed.transform:.2f} s;"
            f" a cycle on top {size.cycle.total:.2f} s"
        )
        measured.append(size)
    return measured


def check_sizes(sizes: Sequence[Size], began: float) -> Check:
    """Whether a cycle's cost follows its own rows and not the history under it.

    Judged by CPU seconds, which other programs on the machine do not lengthen. What may grow is the
    replacement of the small marts (a row a customer, product or day).

    Args:
        sizes: In ascending order.
        began: `time.perf_counter()` at the start of the measurement.
    """
    factor = sizes[-1].cycle.cpu / sizes[0].cycle.cpu
    return Check(
        "B5.history",
        f"A cycle after {sizes[-1].orders:,} orders costs at most {HISTORY_FACTOR:g} times"
        f" one after {sizes[0].orders:,}",
        factor <= HISTORY_FACTOR,
        time.perf_counter() - began,
        {
            "factor": round(factor, 2),
            "sizes": [
                {"orders": size.orders, "batch": size.seed.rounded(), "cycle": size.cycle.rounded()}
                for size in sizes
            ],
        },
    )
