"""Measures what was promised: the generator's speed, cost by size, and a day of cycles on one lake."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from floe_pipeline.bench.day import check_day, run_day
from floe_pipeline.bench.generator import check_generator
from floe_pipeline.bench.plot import write_plot
from floe_pipeline.bench.sizes import check_sizes, measure_sizes
from floe_pipeline.verify.evidence import Check, write_evidence

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)  # orders
CYCLES: Final = 288  # of five minutes: a day

__all__ = ["CYCLES", "SIZES", "run_bench"]


def run_bench(
    home: Path,
    out: Path,
    sizes: Sequence[int] = SIZES,
    cycles: int = CYCLES,
    progress: Callable[[str], None] = print,
) -> list[Check]:
    """Measure on embedded platforms of the bench's own; some eight minutes for the default sizes and cycles.

    Args:
        home: Folder for the lakes; those of an earlier bench in it are replaced.
        out: Folder of `evidence/bench.json` and `bench.html`.
        sizes: Orders of the lakes to measure.
        cycles: Cycles in a row of the day's measurement.
        progress: Told a line now and then.

    Returns:
        A check for each promise; a broken one is a result, not an error.

    Raises:
        ValueError: When there are no sizes, or a size or the number of cycles is below 1.
        EmbeddedError: `home` cannot be used.
        OSError: `out` cannot be written to.
    """
    if not sizes or min(sizes) < 1:
        raise ValueError(f"sizes: {list(sizes)}; at least one is needed, each 1 or more")
    if cycles < 1:
        raise ValueError(f"cycles: {cycles}; it must be 1 or more")
    progress("The generator, against a row-by-row Faker loop")
    checks = check_generator(memory_orders=10 * max(sizes))
    progress(f"Cost by size: {', '.join(f'{size:,}' for size in sorted(sizes))} orders")
    began = time.perf_counter()
    measured = measure_sizes(home, sizes, progress)
    checks.append(check_sizes(measured, began))
    progress(f"{cycles} cycles in a row")
    began = time.perf_counter()
    day = run_day(home, cycles, progress)
    if not day.is_long_enough:
        progress(f"{cycles} cycles are too few to compare the last ones with the first")
    checks += check_day(day, began)

    write_evidence("bench", "embedded", checks, out / "evidence" / "bench.json")
    try:
        write_plot(out / "bench.html", measured, day)
    except ImportError as missing:
        progress(f"No plot: {missing.name} is not installed; it comes with floe-pipeline[report]")
    return checks
