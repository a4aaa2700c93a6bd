"""FR-014: the rows in bronze are those of the generator."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from floe_pipeline.lake.ledger import Claim, read_ledger
from floe_pipeline.lake.tables import BRONZE, CLAIMS
from floe_stack.checks.finding import Finding, Question, judged
from floe_stack.errors import StackError
from floe_stack.lake import OutsideLake
from floe_stack.stack import Stack
from floe_synthetic.ecommerce import EcommerceGenerator

# The column by which each table's rows are numbered, so that those of one batch are a range.
NUMBERED: Final = {
    "customers": "customer_id", "products": "product_id", "orders": "order_id", "order_items": "order_id",
}  # fmt: skip


def _made_again(stack: Stack) -> list[Finding]:
    stack.dagster.wait_quiet()
    return [newest_batch_made_again(stack.lake())]


def newest_batch_made_again(lake: OutsideLake) -> Finding:
    """The newest batch, made again from nothing but its claim in the ledger, and compared row by row.

    Raises:
        StackError: There is none yet.
    """
    ledger = read_ledger(lake.load(CLAIMS))
    if ledger is None or ledger.claim is None:
        raise StackError("no batch was appended yet: `make status` shows what is waited for")
    claim = ledger.claim
    request = claim.request
    made = EcommerceGenerator(claim.seed).batch(
        claim.before,
        until=request.until,
        orders=request.orders,
        customers=request.customers,
        products=request.products,
    )
    wrong, rows = [], {}
    for name, expected in made.tables().items():
        found = _stored(lake, name, claim)
        rows[name] = found.num_rows
        if not found.equals(_in_order(expected.select(found.column_names).cast(found.schema))):
            wrong.append(
                f"bronze.{name}: {found.num_rows} rows, not the {expected.num_rows} of the generator"
            )
    told = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in rows.items() if count)
    seen = f"batch {ledger.number} of seed {claim.seed}, made again: {told}"
    return judged(wrong, seen, batch=ledger.number, seed=claim.seed, rows=rows)


def _stored(lake: OutsideLake, name: str, claim: Claim) -> pa.Table:
    """The batch's rows of a table."""
    identifier = next(spec.identifier for spec in BRONZE if spec.name == name)
    column = NUMBERED[name]
    counted = "orders" if name == "order_items" else name
    before, after = getattr(claim.before, counted), getattr(claim.after, counted)
    of_batch = f"{column} > {before} and {column} <= {after}"
    return _in_order(lake.load(identifier).scan(row_filter=of_batch).to_arrow())


def _in_order(table: pa.Table) -> pa.Table:
    keys = [name for name in table.column_names if name.endswith("_id")]
    return table.sort_by([(name, "ascending") for name in keys]).combine_chunks()


QUESTIONS: Final = (
    Question(
        {"FR-014": "The newest batch is what EcommerceGenerator makes of its claim, row for row"},
        _made_again,
    ),
)
