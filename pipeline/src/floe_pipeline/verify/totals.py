"""B1: the same rows and the same cents in the generator, its ledger, the bronze tables and the marts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import duckdb

from floe_pipeline.lake.catalog import TableTotals
from floe_pipeline.verify.evidence import Check

Unit = Literal["rows", "cents"]

# For each table and unit, where the same number must be found and how it is computed there.
PLACES: Final[dict[tuple[str, Unit], dict[str, str]]] = {
    ("customers", "rows"): {"bronze.customers": "count(*)", "gold.customers": "count(*)"},
    ("products", "rows"): {"bronze.products": "count(*)", "gold.products": "count(*)"},
    ("products", "cents"): {"bronze.products": "100 * sum(price)", "gold.products": "100 * sum(price)"},
    ("orders", "rows"): {
        "bronze.orders": "count(*)",
        "gold.orders": "count(*)",
        "gold.customers": "sum(orders)",
        "gold.daily_revenue": "sum(orders)",
    },
    ("orders", "cents"): {
        "bronze.orders": "100 * sum(total_amount)",
        "gold.orders": "100 * sum(total_amount)",
        "gold.customers": "100 * sum(total_revenue)",
        "gold.daily_revenue": "100 * sum(revenue)",
    },
    ("order_items", "rows"): {"bronze.order_items": "count(*)", "gold.orders": "sum(item_count)"},
    ("order_items", "cents"): {
        "bronze.order_items": "100 * sum(line_amount)",
        "gold.orders": "100 * sum(gross_amount - discount_amount)",
        "gold.products": "100 * sum(total_revenue)",
    },
}


@dataclass(frozen=True)
class Quantity:
    """One number that must be the same everywhere.

    Attributes:
        table: The generator's table that it counts.
        unit: Whether it counts rows or the cents of the table's money column.
        seen: The number by place, the most trusted place first; None where the table is missing.
    """

    table: str
    unit: Unit
    seen: dict[str, int | None]

    def differences(self) -> list[str]:
        """A line for each place that disagrees with the first one, saying by how much."""
        (source, right), *others = self.seen.items()
        return [
            self._difference(place, value, source, right)
            for place, value in others
            if value != right or value is None
        ]

    def _difference(self, place: str, value: int | None, source: str, right: int | None) -> str:
        what = f"{self.table} {'rows' if self.unit == 'rows' else 'money'}"
        if value is None:
            remedy = "`floe transform`" if place.startswith("gold.") else "`floe generate`"
            return f"{place} is missing ({what}): run {remedy}"
        if right is None:
            return f"{place} has {what} {self._shown(value)}, the {source} has none"
        gap = value - right
        side = "too many" if gap > 0 else "missing"
        return (
            f"{place} has {what} {self._shown(value)}, the {source} has {self._shown(right)}:"
            f" {self._shown(abs(gap))} {side}"
        )

    def _shown(self, value: int) -> str:
        return f"{value:,}" if self.unit == "rows" else f"{value // 100:,}.{value % 100:02d}"


def check_totals(
    connection: duckdb.DuckDBPyConnection,
    ledger: Mapping[str, TableTotals],
    expected: Mapping[str, TableTotals] | None = None,
) -> Check:
    """Compare rows and cents in every place that holds them.

    Args:
        connection: DuckDB with the lake attached as `lake`.
        ledger: By table name without namespace, what the ledger says was ever appended.
        expected: The same from the generator's own output, when this process made all of it.

    Returns:
        Check `B1`, with all numbers as `quantities` and the disagreements as `differences`.
    """
    began = time.perf_counter()
    counted = _count(connection)
    quantities = []
    for (table, unit), places in PLACES.items():
        seen: dict[str, int | None] = {}
        if expected is not None:
            seen["generator"] = getattr(expected[table], unit)
        seen["ledger"] = getattr(ledger[table], unit) if table in ledger else None
        seen |= {place: counted[place, expression] for place, expression in places.items()}
        quantities.append(Quantity(table, unit, seen))
    differences = [line for quantity in quantities for line in quantity.differences()]
    return Check(
        id="B1",
        title="Generator = bronze = gold, to the row and to the cent",
        passed=not differences,
        seconds=time.perf_counter() - began,
        evidence={
            "quantities": [
                {"table": quantity.table, "unit": quantity.unit, "seen": quantity.seen}
                for quantity in quantities
            ],
            "differences": differences,
        },
    )


def _count(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], int | None]:
    """Every expression of `PLACES`, one scan a table; None for all of a table that is not there."""
    wanted: dict[str, list[str]] = {}
    for places in PLACES.values():
        for place, expression in places.items():
            wanted.setdefault(place, []).append(expression)
    counted: dict[tuple[str, str], int | None] = {}
    for place, expressions in wanted.items():
        columns = ", ".join(f"coalesce({expression}, 0)::BIGINT" for expression in expressions)
        try:
            row = connection.execute(f"SELECT {columns} FROM lake.{place}").fetchone()
        except duckdb.CatalogException:
            row = (None,) * len(expressions)
        assert row is not None
        counted |= {(place, expression): value for expression, value in zip(expressions, row, strict=True)}
    return counted
