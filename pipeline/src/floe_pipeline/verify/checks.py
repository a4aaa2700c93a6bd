"""All checks of the data in a lake, against its ledger and, where it is known, the generator's own output."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Final

import duckdb

from floe_pipeline.lake.catalog import Lake, TableTotals
from floe_pipeline.lake.engine import connect as connect_duckdb
from floe_pipeline.lake.ledger import read_ledger
from floe_pipeline.lake.tables import BRONZE, SPECS
from floe_pipeline.settings import Settings
from floe_pipeline.telemetry import span
from floe_pipeline.verify.evidence import Check
from floe_pipeline.verify.rules import check_rules
from floe_pipeline.verify.totals import check_totals

ATTEMPTS: Final = 4  # how often a lake that is being written to is looked at again


def run_checks(
    lake: Lake,
    settings: Settings,
    expected: Mapping[str, TableTotals] | None = None,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> list[Check]:
    """Check B1 and the rules behind it. Computed by DuckDB in the data itself, through the catalog.

    A check that fails while somebody commits proves nothing, so the checks are repeated when the tables moved
    meanwhile.

    Args:
        lake: Where the tables are.
        settings: How DuckDB reaches them.
        expected: By table (`customers`, `products`, `orders`, `order_items`), what the generator made in all.
        connection: DuckDB with the lake attached as `lake`, if there is one: opening it takes half a second.

    Returns:
        Check `B1` and the rules `B1.*`.

    Raises:
        LakeError: The lake cannot be reached.
        duckdb.Error: The engine cannot read the lake.
    """
    with span("verify"), nullcontext(connection) if connection else connect_duckdb(settings) as engine:
        for _ in range(ATTEMPTS):
            before = _snapshots(lake)
            checks = [check_totals(engine, _ledgers(lake), expected), *check_rules(engine)]
            if all(check.passed for check in checks) or _snapshots(lake) == before:
                break
    return checks


def _ledgers(lake: Lake) -> dict[str, TableTotals]:
    """What each bronze table's ledger says was ever appended, by name without namespace."""
    totals = {}
    for spec in BRONZE:
        ledger = read_ledger(lake.load(spec.identifier)) if lake.exists(spec.identifier) else None
        if ledger:
            totals[spec.name] = TableTotals(rows=ledger.rows, cents=ledger.cents)
    return totals


def _snapshots(lake: Lake) -> dict[str, int | None]:
    """The current snapshot of every table; None where there is no table or nothing in it."""
    found: dict[str, int | None] = {}
    for identifier in SPECS:
        snapshot = lake.load(identifier).current_snapshot() if lake.exists(identifier) else None
        found[identifier] = snapshot.snapshot_id if snapshot else None
    return found
