"""B1: the same rows and the same cents in five places, and the rules that the rows themselves keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from floe_pipeline.verify.evidence import Check
from floe_pipeline.verify.rules import RULES, check_rules
from floe_pipeline.verify.totals import Quantity, Unit, check_totals
from floe_stack.checks.finding import Finding, Question
from floe_stack.cube import ask_sql
from floe_stack.lake import copied, ledger_totals, snapshot_ids
from floe_stack.patience import until
from floe_stack.stack import Stack

ATTEMPTS: Final = 6  # how often a lake that is being written to is looked at again
FRESH_SECONDS: Final = 15.0  # Cube looks for new snapshots every two seconds

# The same numbers as `floe_pipeline.verify.totals.PLACES`, as Cube's measures; the second is subtracted.
MEASURES: Final[dict[tuple[str, Unit], tuple[tuple[str, ...], ...]]] = {
    ("customers", "rows"): (("Customers.count",),),
    ("products", "rows"): (("Products.count",),),
    ("orders", "rows"): (("Orders.count",), ("Customers.orders",)),
    ("orders", "cents"): (("Orders.total_revenue",), ("Customers.total_revenue",)),
    ("order_items", "rows"): (("Orders.items",),),
    ("order_items", "cents"): (("Orders.gross_revenue", "Orders.discounts"), ("Products.total_revenue",)),
}
ASKED: Final = sorted({name for places in MEASURES.values() for place in places for name in place})

Numbers = Mapping[str, Decimal]


def _by_cube() -> dict[str, list[str]]:
    """Measures by their cube: one question each, since cubes without a join cannot be asked together."""
    cubes: dict[str, list[str]] = {}
    for name in ASKED:
        cubes.setdefault(name.partition(".")[0], []).append(name)
    return cubes


def _rest(stack: Stack) -> Numbers:
    found: dict[str, Any] = {}
    for measures in _by_cube().values():
        (row,) = stack.cube.load({"measures": measures})
        found |= row
    return {name: Decimal(str(found[name] or 0)) for name in ASKED}


def _sql(stack: Stack) -> Numbers:
    found: dict[str, Decimal] = {}
    with stack.cube_sql() as session:
        for cube, measures in _by_cube().items():
            columns = ", ".join(f"MEASURE({name.partition('.')[2]})" for name in measures)
            (row,) = ask_sql(session, f"SELECT {columns} FROM {cube}")
            # The SQL API hands money out as a double: 15 digits are exact, so the cent is what it was.
            found |= {
                name: Decimal(str(value or 0)).quantize(Decimal("0.01"))
                for name, value in zip(measures, row, strict=True)
            }
    return found


PLACES: Final[dict[str, Callable[[Stack], Numbers]]] = {"Cube REST": _rest, "Cube SQL": _sql}


def with_cube(check: Check, told: Mapping[str, Numbers]) -> Check:
    """Check B1 of three places, extended by what Cube says.

    Args:
        check: Of `floe_pipeline.verify.totals.check_totals`.
        told: By place, the measures of `MEASURES`.
    """
    quantities = []
    known: Any = check.evidence["quantities"]
    for each in known:
        seen = dict(each["seen"])
        for place, numbers in told.items():
            for first, *rest in MEASURES.get((each["table"], each["unit"]), ()):
                name = " - ".join([first, *rest])
                value = numbers[first] - sum(numbers[other] for other in rest)
                seen[f"{place} {name}"] = int(value * (100 if each["unit"] == "cents" else 1))
        quantities.append(Quantity(each["table"], each["unit"], seen))
    differences = [line for quantity in quantities for line in quantity.differences()]
    evidence: dict[str, object] = {
        "quantities": [{"table": each.table, "unit": each.unit, "seen": each.seen} for each in quantities],
        "differences": differences,
    }
    return Check(check.id, check.title, not differences, check.seconds, evidence)


def _equal(stack: Stack) -> list[Finding]:
    """Looked at while nobody writes, and looked at again when somebody did after all."""
    for _ in range(ATTEMPTS):
        stack.dagster.wait_quiet()
        lake = stack.lake()
        tables = lake.tables()
        before = snapshot_ids(tables)
        with copied(tables) as engine:
            lake_only, rules = check_totals(engine, ledger_totals(tables)), check_rules(engine)
        total = _asked_until_fresh(stack, lake_only)
        checks = [total, *rules]
        if all(check.passed for check in checks) or snapshot_ids(lake.tables()) == before:
            break
        stack.say("the lake was written to meanwhile; looking again")
    return [
        Finding(check.passed, _seen(check, before if check is total else None), dict(check.evidence))
        for check in checks
    ]


def _asked_until_fresh(stack: Stack, lake_only: Check) -> Check:
    """Cube may lag a commit by seconds, never for good."""
    return until(
        lambda: with_cube(lake_only, {place: ask(stack) for place, ask in PLACES.items()}),
        lambda total: total.passed,
        seconds=FRESH_SECONDS,
        every=0.5,
    )


def _seen(check: Check, snapshots: Mapping[str, int | None] | None) -> str:
    if snapshots is None:
        violations: Any = check.evidence["violations"]
        return f"{len(violations)} rules, {sum(violations.values()):,} rows break one"
    quantities: Any = check.evidence["quantities"]
    by_name = {(each["table"], each["unit"]): each["seen"] for each in quantities}
    orders, cents = by_name["orders", "rows"], by_name["orders", "cents"]
    return (
        f"{len(quantities)} numbers in {max(map(len, by_name.values()))} places:"
        f" {orders['ledger'] or 0:,} orders, {Decimal(cents['ledger'] or 0) / 100:,.2f}"
    )


QUESTIONS: Final = (
    Question(
        {
            "B1": "Generator = bronze = gold = Cube REST = Cube SQL, to the row and to the cent",
            **{rule.id: rule.title for rule in RULES},
        },
        _equal,
    ),
)
