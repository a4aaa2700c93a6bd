"""The bench, short: it really runs, judges what it measured, and leaves evidence and a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from floe_pipeline.bench import run_bench
from floe_pipeline.bench.day import Day, Upkeep, check_day
from floe_pipeline.bench.naive import naive_shop
from floe_pipeline.bench.shop import Timing
from floe_pipeline.bench.sizes import Size, check_sizes
from floe_synthetic.schemas import SCHEMAS

pytestmark = pytest.mark.slow


def timing(cpu: float) -> Timing:
    return Timing(append=0.1, transform=cpu, total=cpu + 0.1, cpu=cpu)


def day(costs, *, live_after=10, objects_after=100) -> Day:
    upkeep = Upkeep(len(costs), 1.0, 50, live_after, 500, objects_after)
    return Day(tables=8, compact_files=8, cycles=[timing(cost) for cost in costs], upkeep=[upkeep])


@pytest.mark.timeout(600)  # the work of twenty seconds, on a machine that may be busy
def test_a_short_bench_leaves_evidence_and_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("floe_pipeline.bench.sizes.CYCLES", 1)
    monkeypatch.setattr("floe_pipeline.bench.generator.ORDERS", 20_000)
    monkeypatch.setattr("floe_pipeline.bench.generator.NAIVE_ORDERS", 500)
    said: list[str] = []
    checks = run_bench(tmp_path / "home", tmp_path / "out", [40], 2, said.append)

    evidence = json.loads((tmp_path / "out/evidence/bench.json").read_text())
    assert evidence["name"] == "bench"
    assert [check["id"] for check in evidence["checks"]] == [check.id for check in checks]
    seen = {check.id: check for check in checks}
    for promise in ("FR-014.memory", "B1", "B5.files"):
        assert seen[promise].passed, seen[promise]
    assert seen["FR-014.ratio"].evidence["ratio"] > 1  # how much, the bench itself judges
    sizes = seen["B5.history"].evidence["sizes"]
    assert [size["orders"] for size in sizes] == [40]
    assert all(
        size["cycle"]["total"] >= size["cycle"]["append"] + size["cycle"]["transform"] for size in sizes
    )
    assert seen["B5.files"].evidence["maintenance"][-1]["cycle"] == 2
    assert "B5.flat" not in seen
    assert "2 cycles are too few to compare the last ones with the first" in said

    pytest.importorskip("plotly")
    page = (tmp_path / "out/bench.html").read_text()
    assert "2 cycles in a row" in page
    assert "cdn.plot.ly" not in page.split("<body>")[0]  # the library is inside: no network needed


def test_a_flat_day_passes_and_a_growing_one_does_not():
    flat, files = check_day(day([1.0] * 288), began=0)
    assert flat.passed
    assert files.passed
    growing, _ = check_day(day([1.0 + number / 500 for number in range(288)]), began=0)
    assert not growing.passed
    assert growing.evidence["cpu_ratio"] == pytest.approx(1.52, abs=0.02)


def test_one_slow_cycle_does_not_make_a_day_fail():
    flat, _ = check_day(day([1.0] * 287 + [9.0]), began=0)
    assert flat.passed


@pytest.mark.parametrize("left", [{"live_after": 129}, {"objects_after": 513}])
def test_files_that_pile_up_are_reported(left):
    _, files = check_day(day([1.0] * 288, **left), began=0)
    assert not files.passed


def test_a_cycle_that_grows_with_history_is_reported():
    sizes = [
        Size(orders, timing(orders / 100), timing(cycle)) for orders, cycle in ((1000, 1.0), (10**6, 2.1))
    ]
    assert not check_sizes(sizes, began=0).passed
    assert check_sizes(sizes[:1], began=0).passed


def test_the_yardstick_makes_the_same_columns_and_honest_sums():
    shop = naive_shop(customers=20, products=10, orders=100)
    for name, rows in shop.items():
        assert list(rows[0]) == SCHEMAS[name].names
    totals = {order["order_id"]: order["total_amount"] for order in shop["orders"]}
    for line in shop["order_items"]:
        totals[line["order_id"]] -= line["line_amount"]
    assert not any(totals.values())


@pytest.mark.parametrize(
    ("sizes", "cycles", "message"),
    [([], 1, "^sizes: "), ([0], 1, r"^sizes: \[0\]; "), ([1], 0, "^cycles: 0; it must be 1 or more")],
)
def test_nothing_to_measure_is_refused(tmp_path, sizes, cycles, message):
    with pytest.raises(ValueError, match=message):
        run_bench(tmp_path, tmp_path, sizes, cycles)
