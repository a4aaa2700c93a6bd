"""Builds beside other builds, and readers beside builds."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from floe_pipeline.transform import dbt_plugin, runner

from .conftest import MARTS, Shop
from .expected import expected_marts, mart

pytestmark = pytest.mark.slow

REFRESHES = 20  # each mart alone four times, and four cycles: enough that a publish in two commits is seen
BUILD = """
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.settings import load_settings
from floe_pipeline.transform.runner import build
settings = load_settings()
result = build(settings, lake=Lake.connect(settings))
print({node.name: node.rows for node in result.nodes if node.rows is not None})
"""


def build_elsewhere(shop: Shop, cwd: Path) -> subprocess.Popen[str]:
    """A build in a process of its own, as two Dagster runs would be."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("FLOE_")}
    environment = plain | shop.settings.environment() | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", BUILD],
        env=environment,
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_two_processes_at_once(shop: Shop, tmp_path: Path) -> None:
    """From nothing, with empty caches, both building everything."""
    rivals = [build_elsewhere(shop, tmp_path) for _ in range(2)]
    outputs = [rival.communicate(timeout=200) for rival in rivals]
    assert [rival.returncode for rival in rivals] == [0, 0], outputs
    for name, rows in expected_marts(shop.lake).items():
        assert mart(shop.lake, name) == rows, name


@pytest.mark.parametrize("behind", [False, True])
def test_a_rival_commits_between_computing_and_publishing(
    open_shop: Shop, monkeypatch: pytest.MonkeyPatch, behind: bool
) -> None:
    """The rival has counted the same orders, or more of them: nothing is counted twice, nothing goes back."""
    publish = dbt_plugin.publish
    held: list[Callable[[], object]] = []

    def hold(*arguments: object, **options: object) -> dbt_plugin.PublishResult:
        held.append(lambda: publish(*arguments, **options))  # type: ignore[arg-type]
        return dbt_plugin.PublishResult(snapshot_id=0, rows=1, files=1)

    open_shop.add(orders=20, customers=1)
    with monkeypatch.context() as patch:
        patch.setattr(dbt_plugin, "publish", hold)
        open_shop.build()
    assert len(held) == len(MARTS)
    if behind:
        open_shop.add(orders=15)
    open_shop.build()
    before = open_shop.snapshots()
    for late in held:
        late()
    for name, rows in expected_marts(open_shop.lake).items():
        assert mart(open_shop.lake, name) == rows, name
    if behind:
        assert open_shop.snapshots() == before


def test_a_reader_never_sees_a_mart_empty_partial_or_missing(
    open_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Order ids are dense, so each mart says in itself whether it is whole."""
    monkeypatch.setattr(runner, "FULL", "test_type:data")  # tests publish nothing: the refreshes without them
    done = threading.Event()
    wrong: list[str] = []
    readings = {"duckdb": 0, "pyiceberg": 0}
    whole = {
        "orders": "SELECT count(*), max(order_id) FROM lake.gold.orders",
        "customers": "SELECT sum(orders), max(last_order_id) FROM lake.gold.customers",
        "daily_revenue": "SELECT sum(orders), max(last_order_id) FROM lake.gold.daily_revenue",
    }

    def look(reader: str, seen: dict[str, int], name: str, found: tuple[int, int]) -> None:
        readings[reader] += 1
        counted, through = found
        if counted != through or counted < seen.get(name, at_first):
            wrong.append(f"{reader} {name}: {counted} orders of {through}, after {seen.get(name)}")
        seen[name] = counted

    def by_duckdb() -> None:
        seen: dict[str, int] = {}
        turns = itertools.cycle(whole.items())
        with open_shop.lake.duckdb_connect() as connection:
            while not done.wait(0.05):
                name, sql = next(turns)
                row = connection.execute(sql).fetchone()
                assert row is not None
                look("duckdb", seen, name, row)

    def by_pyiceberg() -> None:
        seen: dict[str, int] = {}
        while not done.wait(0.1):
            scan = open_shop.lake.load("gold.customers").scan(selected_fields=("orders", "last_order_id"))
            rows = scan.to_arrow().to_pylist()
            through = max(row["last_order_id"] or 0 for row in rows)
            look("pyiceberg", seen, "customers", (sum(row["orders"] for row in rows), through))

    def kept(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except Exception as error:  # whatever a reader meets is what the test looks for
                wrong.append(repr(error))

        return run

    open_shop.build()
    at_first = open_shop.orders
    readers = [threading.Thread(target=kept(work)) for work in (by_duckdb, by_pyiceberg)]
    for thread in readers:
        thread.start()
    try:
        for number in range(REFRESHES):
            alone = MARTS[number % 5] if number % 5 < len(MARTS) else None
            if alone is None:
                open_shop.add(orders=3, customers=1, days=0.1)
            assert open_shop.build(select=alone, full_refresh=alone is not None).snapshots
    finally:
        done.set()
        for thread in readers:
            thread.join()
    assert wrong == []
    assert open_shop.orders == at_first + 3 * REFRESHES // 5
    assert min(readings.values()) >= REFRESHES, readings
