"""All checks of the data in a lake, against its ledger and, where it is known, the generator's own output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

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
    lake: Lake, settings: Settings, expected: Mapping[str, TableTotals] | None = None
) -> list[Check]:
    """Check B1 and the rules behind it. Computed by DuckDB in the data itself, through the catalog.

    A check that fails while somebody commits proves nothing, so the checks are repeated when the tables moved
    meanwhile.

    Args:
        lake: Where the tables are.
        settings: How DuckDB reaches them.
        expected: By table (`customers`, `products`, `orders`, `order_items`), what the generator made in all.

    Returns:
        Check `B1` and the rules `B1.*`.

    Raises:
        LakeError: The lake cannot be reached.
        duckdb.Error: The engine cannot read the lake.
    """
    with span("verify"):
        for attempt in range(1, ATTEMPTS + 1):
            before = _snapshots(lake)
            ledger = {
                spec.name: TableTotals(rows=entry.rows, cents=entry.cents)
                for spec in BRONZE
                if before[spec.identifier] is not None
                and (entry := read_ledger(lake.load(spec.identifier))) is not None
            }
            with connect_duckdb(settings) as connection:
                checks = [check_totals(connection, ledger, expected), *check_rules(connection)]
            if all(check.passed for check in checks) or attempt == ATTEMPTS or _snapshots(lake) == before:
                break
        return checks


def _snapshots(lake: Lake) -> dict[str, int | None]:
    """The current snapshot of every table; None where there is no table or nothing in it."""
    found: dict[str, int | None] = {}
    for identifier in SPECS:
        snapshot = lake.load(identifier).current_snapshot() if lake.exists(identifier) else None
        found[identifier] = snapshot.snapshot_id if snapshot else None
    return found
