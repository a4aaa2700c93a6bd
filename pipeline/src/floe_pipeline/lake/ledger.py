"""The ledger: what was ever appended to a bronze table, written in the same commit as the rows themselves.

Each append's snapshot carries one property, `floe.ledger`. The newest one on `main` is a table's ledger. That
of `bronze.order_items`, the first table of every batch, is also the claim on the batch's number: it holds all
that anybody needs to make the batch again, so whoever finds it half done can finish it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from floe_pipeline.lake.errors import LakeError
from floe_synthetic.ecommerce import GeneratorState

LEDGER: Final = "floe.ledger"
THROUGH: Final = "floe.through"  # the highest watermark that a mart has taken in
CARRIED: Final = (LEDGER, THROUGH)  # properties that maintenance carries into its own snapshots
RECENT: Final = 50


@dataclass(frozen=True)
class Request:
    """What a batch was asked to hold.

    Attributes:
        orders: Number of new orders.
        customers: Number of new customers.
        products: Number of new products.
        until: End of the batch's window, in UTC.
    """

    orders: int
    customers: int
    products: int
    until: datetime


@dataclass(frozen=True)
class Claim:
    """All that is needed to make a batch again.

    Attributes:
        seed: The generator's seed.
        request: What was asked for.
        before: The generator's state before the batch.
        after: The state after it: which rows exist once the batch is complete.
        recent: Ids of the last batches, this one last; at most `RECENT`.
    """

    seed: int
    request: Request
    before: GeneratorState
    after: GeneratorState
    recent: tuple[str, ...]


@dataclass(frozen=True)
class Ledger:
    """What was ever appended to a table.

    Attributes:
        number: Number of the last batch that added to the table; batches are 1, 2, 3...
        batch_id: Its id.
        rows: Rows ever appended.
        cents: Sum of the money column of these rows, in cents; 0 where there is none.
        trace_id: Trace of the run that claimed the batch, if it was traced.
        run_id: Id of that run, if it had one.
        claim: In `bronze.order_items` only.
    """

    number: int
    batch_id: str
    rows: int
    cents: int
    trace_id: str | None = None
    run_id: str | None = None
    claim: Claim | None = None

    def to_json(self) -> str:
        """The value of the snapshot property."""
        values: dict[str, object] = {
            "number": self.number,
            "batch_id": self.batch_id,
            "rows": self.rows,
            "cents": self.cents,
            "trace_id": self.trace_id,
            "run_id": self.run_id,
        }
        if self.claim:
            request = self.claim.request
            values |= {
                "seed": self.claim.seed,
                "request": {
                    "orders": request.orders,
                    "customers": request.customers,
                    "products": request.products,
                    "until": request.until.isoformat(timespec="microseconds"),
                },
                "state_before": self.claim.before.to_json(),
                "state_after": self.claim.after.to_json(),
                "recent": self.claim.recent,
            }
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Ledger:
        """Read what `to_json` wrote.

        Raises:
            ValueError: When it is not that (KeyError and TypeError likewise).
        """
        values = json.loads(text)
        return cls(
            number=int(values["number"]),
            batch_id=str(values["batch_id"]),
            rows=int(values["rows"]),
            cents=int(values["cents"]),
            trace_id=values["trace_id"],
            run_id=values["run_id"],
            claim=_claim(values) if "request" in values else None,
        )


def _claim(values: Mapping[str, Any]) -> Claim:
    request = values["request"]
    return Claim(
        seed=int(values["seed"]),
        request=Request(
            orders=int(request["orders"]),
            customers=int(request["customers"]),
            products=int(request["products"]),
            until=datetime.fromisoformat(request["until"]),
        ),
        before=GeneratorState.from_json(values["state_before"]),
        after=GeneratorState.from_json(values["state_after"]),
        recent=tuple(values["recent"]),
    )


def read_ledger(table: Table) -> Ledger | None:
    """A table's ledger, from the newest snapshot on `main` that carries one; others may have committed since.

    Returns:
        None when nothing was ever appended.

    Raises:
        LakeError: When the ledger cannot be read, or is gone although the table has rows: going on would
            number new rows like old ones.
    """
    name = ".".join(table.name())
    snapshot = newest_carrying(table, LEDGER)
    if snapshot is None:
        current = table.current_snapshot()
        rows = int(_property(current, "total-records") or 0) if current else 0
        if rows:
            raise LakeError(
                f"{name} has {rows} rows but no snapshot with {LEDGER}: something else filled it, or expired"
                " its history; drop the bronze tables to begin anew"
            )
        return None
    try:
        return Ledger.from_json(_property(snapshot, LEDGER) or "")
    except (ValueError, KeyError, TypeError) as error:
        raise LakeError(
            f"{name}: {LEDGER} of snapshot {snapshot.snapshot_id} cannot be read ({error!r});"
            " was it written by another version?"
        ) from error


def batch_ends(claims: Table) -> list[tuple[int, datetime]]:
    """When batches were made, as far as their claims are still among the snapshots.

    Args:
        claims: The table whose ledger claims batches.

    Returns:
        (last order id, end of the batch's window), in order; the first stands for all batches before it, too.
    """
    ends: dict[int, datetime] = {}
    for snapshot in claims.snapshots():
        text = _property(snapshot, LEDGER)
        claim = Ledger.from_json(text).claim if text else None
        if claim:
            ends.setdefault(claim.before.orders, claim.before.until)
            ends[claim.after.orders] = claim.request.until
    return sorted(ends.items())


def newest_carrying(table: Table, name: str) -> Snapshot | None:
    """The newest ancestor of `main` whose summary has the property."""
    history: Iterable[Snapshot] = ancestors_of(table.current_snapshot(), table.metadata)
    return next((snapshot for snapshot in history if _property(snapshot, name) is not None), None)


def carried(table: Table) -> dict[str, str]:
    """The properties of `CARRIED` as they hold now; a snapshot of maintenance must repeat them."""
    newest = {name: newest_carrying(table, name) for name in CARRIED}
    return {name: _property(snapshot, name) or "" for name, snapshot in newest.items() if snapshot}


def _property(snapshot: Snapshot, name: str) -> str | None:
    return snapshot.summary.additional_properties.get(name) if snapshot.summary else None
