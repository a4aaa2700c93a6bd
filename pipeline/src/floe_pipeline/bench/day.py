"""A day of the schedule: cycle after cycle on one lake, maintained every hour."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from floe_pipeline.bench.shop import Shop, Timing
from floe_pipeline.embedded import WAREHOUSE, embedded_platform
from floe_pipeline.lake.maintain import maintain
from floe_pipeline.verify.checks import run_checks
from floe_pipeline.verify.evidence import Check

FLAT: Final = 1.25  # promised: the last cycles cost at most this many times the first
ENDS: Final = 20  # cycles at either end whose median is compared
HOUR: Final = 12  # cycles between two maintenances
# What a table may consist of after maintenance, however long its history: data files in tiers of at most
# `compact_files`, and the metadata of the snapshots that are kept.
LIVE_FILES_PER_TABLE: Final = 2  # times compact_files
OBJECTS_PER_TABLE: Final = 3  # times compact_files ...
METADATA_PER_TABLE: Final = 40  # ... and these


@dataclass(frozen=True)
class Upkeep:
    """One maintenance: after which cycle, what it took, and files before and after."""

    cycle: int
    seconds: float
    live_before: int
    live_after: int
    objects_before: int
    objects_after: int


@dataclass
class Day:
    """All that was measured of a day."""

    tables: int = 0
    compact_files: int = 0
    cycles: list[Timing] = field(default_factory=list)
    upkeep: list[Upkeep] = field(default_factory=list)
    truth: list[Check] = field(default_factory=list)

    @property
    def is_long_enough(self) -> bool:
        """Whether its first and its last cycles are different ones, so that they can be compared."""
        return len(self.cycles) >= 2 * ENDS

    def ends(self, of: Callable[[Timing], float]) -> tuple[float, float]:
        """The median of the first cycles and that of the last."""
        values = [of(cycle) for cycle in self.cycles]
        return median(values[:ENDS]), median(values[-ENDS:])


def run_day(home: Path, cycles: int, progress: Callable[[str], None]) -> Day:
    """Seed a lake as the demo does, run `cycles` cycles on it, and look whether its data is still right.

    The clock of a bench runs faster than the schedule's, so ages cannot be waited for: at every maintenance
    all snapshots and orphans count as old enough. Nothing else writes meanwhile, which makes that safe.
    """
    day = Day()
    with embedded_platform(home / "day", fresh=True) as configured:
        settings = configured.model_copy(update={"snapshot_keep_minutes": 0, "orphan_min_age_minutes": 0})
        shop = Shop(settings)
        shop.seed(settings.seed_orders)
        every = min(HOUR, max(cycles // 3, 1))
        for number in range(1, cycles + 1):
            day.cycles.append(shop.cycle())
            if number % every == 0 or number == cycles:
                day.upkeep.append(_maintain(shop, home / "day" / WAREHOUSE, number))
                last = day.upkeep[-1]
                progress(
                    f"cycle {number:>3} of {cycles}: {day.cycles[-1].total:.2f} s,"
                    f" files {last.live_before} -> {last.live_after},"
                    f" objects {last.objects_before} -> {last.objects_after}"
                )
        day.truth = run_checks(shop.lake, settings)
        day.compact_files = settings.compact_files
        day.tables = sum(
            len(shop.lake.catalog.list_tables(name)) for name in shop.lake.catalog.list_namespaces()
        )
    return day


def check_day(day: Day, began: float) -> list[Check]:
    """Judge a day; one that is not long enough is not judged for flatness.

    Cost is judged by CPU seconds, which other programs on the machine do not lengthen.

    Args:
        day: What was measured.
        began: `time.perf_counter()` at the start of the measurement.
    """
    seconds = time.perf_counter() - began
    return [
        *([_check_flat(day, seconds)] if day.is_long_enough else []),
        _check_files(day, seconds),
        *day.truth,
    ]


def _check_flat(day: Day, seconds: float) -> Check:
    first, last = day.ends(lambda cycle: cycle.total)
    first_cpu, last_cpu = day.ends(lambda cycle: cycle.cpu)
    return Check(
        "B5.flat",
        f"After {len(day.cycles)} cycles a cycle costs at most {FLAT:g} times the first ones",
        last_cpu / first_cpu <= FLAT,
        seconds,
        {
            "cycles": len(day.cycles),
            "compared": ENDS,
            "cpu_ratio": round(last_cpu / first_cpu, 3),
            "seconds_ratio": round(last / first, 3),
            "first_seconds": round(first, 3),
            "last_seconds": round(last, 3),
            "maintenance_seconds": round(sum(each.seconds for each in day.upkeep), 1),
            "seconds": [round(cycle.total, 3) for cycle in day.cycles],
            "cpu_seconds": [round(cycle.cpu, 3) for cycle in day.cycles],
        },
    )


def _check_files(day: Day, seconds: float) -> Check:
    live_limit = day.tables * LIVE_FILES_PER_TABLE * day.compact_files
    objects_limit = day.tables * (OBJECTS_PER_TABLE * day.compact_files + METADATA_PER_TABLE)
    last = day.upkeep[-1]
    return Check(
        "B5.files",
        f"After maintenance there are at most {live_limit} live files and {objects_limit} objects",
        max(each.live_after for each in day.upkeep) <= live_limit
        and max(each.objects_after for each in day.upkeep) <= objects_limit,
        seconds,
        {
            "cycles": len(day.cycles),
            "live_files": {"before": last.live_before, "after": last.live_after},
            "objects": {"before": last.objects_before, "after": last.objects_after},
            "maintenance": [asdict(each) for each in day.upkeep],
        },
    )


def _maintain(shop: Shop, warehouse: Path, cycle: int) -> Upkeep:
    live_before, objects_before = shop.live_files(), _objects(warehouse)
    began = time.perf_counter()
    maintain(shop.lake, shop.settings)
    seconds = time.perf_counter() - began
    return Upkeep(
        cycle=cycle,
        seconds=round(seconds, 3),
        live_before=live_before,
        live_after=shop.live_files(),
        objects_before=objects_before,
        objects_after=_objects(warehouse),
    )


def _objects(warehouse: Path) -> int:
    """Files of any kind: what a bucket would hold as objects."""
    return sum(path.is_file() for path in warehouse.rglob("*"))
