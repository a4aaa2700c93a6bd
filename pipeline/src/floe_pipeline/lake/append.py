"""Appends of generated batches, exactly once each, by any number of writers that may die at any moment.

A batch is made again from its claim, byte for byte, so nothing has to survive a crash but the claim itself:

1. Load the four tables. If the last claimed batch is not complete, complete it (whoever claimed it).
2. If the batch id is among the recent ones, it is there: done.
3. Claim the next number by appending `order_items` on the condition that nobody else did since 1; if somebody
   did, begin again at 1.
4. Complete the batch: products, customers and, last, orders.

A table is complete when its ledger counts as many rows as the claim's state after the batch. Every commit is
conditional on the snapshot that the decision was made on, so deciding wrongly cannot write.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.commit import attempts, begin, commit, snapshot_id, stage_append, write_files
from floe_pipeline.lake.errors import CommitConflictError, LakeError
from floe_pipeline.lake.ledger import LEDGER, RECENT, Claim, Ledger, Request, read_ledger
from floe_pipeline.lake.tables import BRONZE, TableSpec
from floe_pipeline.telemetry import current_trace_id, span
from floe_synthetic.ecommerce import Batch, EcommerceGenerator, GeneratorState

ITEMS, *REST = BRONZE
BRONZE_NAMES: Final = [spec.name for spec in BRONZE]
PIECE_ORDERS: Final = 250_000  # orders in memory at once
LATE: Final = timedelta(minutes=15)  # how far another writer may have gone ahead of our `until`
NEXT_MOMENT: Final = timedelta(seconds=1)  # the window of a writer whose time was taken by another


@dataclass
class AppendResult:
    """What `append_batch` did.

    Attributes:
        batch_id: As given.
        number: The batch's number.
        already_applied: The batch was claimed before this call; what was missing of it has been appended.
        rows: Rows appended by this call, by table name without namespace.
        cents: Sum of the appended rows' money column in cents, likewise; 0 where there is none.
        snapshots: Ids of the snapshots made by this call; a table that got no rows has none.
        seconds: How long it took.
    """

    batch_id: str
    number: int
    already_applied: bool
    rows: dict[str, int] = field(default_factory=dict)
    cents: dict[str, int] = field(default_factory=dict)
    snapshots: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class _Content:
    """The rows of one claimed or wanted batch, made when needed and kept only when they are few."""

    def __init__(self, seed: int, before: GeneratorState, request: Request) -> None:
        self.seed, self.before, self.request = seed, before, request
        self._generator = EcommerceGenerator(seed)
        self._kept: list[Batch] | None = None
        self.after = before

    def pieces(self) -> Iterator[Batch]:
        """The batch in pieces of at most `PIECE_ORDERS` orders; `after` is set once all were taken."""
        if self._kept is None:
            pieces = self._generator.batches(
                self.before,
                until=self.request.until,
                orders=self.request.orders,
                customers=self.request.customers,
                products=self.request.products,
                max_orders_per_batch=PIECE_ORDERS,
            )
            if self.request.orders > PIECE_ORDERS:
                for piece in pieces:
                    self.after = piece.state
                    yield piece
                return
            with span("generate") as here:  # a larger batch is made while it is appended
                self._kept = list(pieces)
                for name in BRONZE_NAMES:
                    rows = sum(piece.tables()[name].num_rows for piece in self._kept)
                    here.set_attribute(f"floe.{name}", rows)
        for piece in self._kept:
            self.after = piece.state
            yield piece


def append_batch(
    lake: Lake,
    *,
    batch_id: str,
    seed: int,
    orders: int,
    customers: int = 0,
    products: int = 0,
    until: datetime,
    start: datetime | None = None,
    run_id: str | None = None,
) -> AppendResult:
    """Generate a batch and append it to the bronze tables, exactly once per batch id.

    Args:
        lake: With the bronze tables in it (`Lake.ensure_tables`).
        batch_id: Names the batch; the same id again appends nothing (within the last 50 batches).
        seed: The generator's seed; one lake has one seed.
        orders: Number of new orders.
        customers: Number of new customers.
        products: Number of new products.
        until: End of the batch's window, with a time zone. When another writer has just gone past it, the
            batch takes the second after that writer's.
        start: Where history begins when the lake is empty.
        run_id: Id of the run that does this, for the ledger.

    Returns:
        What was appended by this call.

    Raises:
        ValueError: When an argument cannot be used; the message names it.
        LakeError: When the lake was begun with another seed, its ledgers contradict each other, the catalog
            does not answer, or too many others commit at the same time.
    """
    began = time.monotonic()
    result = AppendResult(batch_id=batch_id, number=0, already_applied=False)
    claimed = False
    with span("lake.append_batch", **{"floe.batch_id": batch_id}) as here:
        for _ in attempts(f"batch {batch_id!r}"):
            tables = {spec.name: _load(lake, spec) for spec in BRONZE}
            ledger = read_ledger(tables[ITEMS.name])
            if ledger is None:
                _require_empty(tables)
            else:
                _require_seed(ledger, seed)
                mine = ledger.batch_id == batch_id
                if not _complete(lake, ledger, None, tables, result if mine else None):
                    continue  # others went ahead while we looked
                if batch_id in _claim_of(ledger).recent:
                    result.number = _number(ledger, batch_id)
                    result.already_applied = not claimed
                    break
            before = _claim_of(ledger).after if ledger else _beginning(seed, start)
            content = _Content(seed, before, Request(orders, customers, products, _end(until, before)))
            try:
                ledger = _claim_next(lake, tables[ITEMS.name], content, result, ledger=ledger, run_id=run_id)
            except CommitConflictError:
                continue
            claimed = True
            if _complete(lake, ledger, content, tables, result):
                result.number = ledger.number
                break
        here.set_attribute("floe.batch", result.number)
        here.set_attribute("floe.already_applied", result.already_applied)
    for spec in BRONZE:
        result.rows.setdefault(spec.name, 0)
        result.cents.setdefault(spec.name, 0)
    result.seconds = time.monotonic() - began
    return result


def _claim_next(
    lake: Lake,
    table: Table,
    content: _Content,
    result: AppendResult,
    *,
    ledger: Ledger | None,
    run_id: str | None,
) -> Ledger:
    """Append the order items of the next batch, and with them the claim on its number."""
    entry = Ledger(
        number=ledger.number + 1 if ledger else 1,
        batch_id=result.batch_id,
        rows=ledger.rows if ledger else 0,
        cents=ledger.cents if ledger else 0,
        trace_id=current_trace_id(),
        run_id=run_id,
    )
    recent = _claim_of(ledger).recent if ledger else ()
    return _append(
        lake, ITEMS, table, content, entry=entry, result=result, recent=(*recent, result.batch_id)[-RECENT:]
    )


def _complete(
    lake: Lake,
    claimed: Ledger,
    content: _Content | None,
    tables: dict[str, Table],
    result: AppendResult | None,
) -> bool:
    """Append what is still missing of a claimed batch, in commit order.

    Args:
        lake: The lake.
        claimed: Ledger of order_items as it was read or written.
        content: The batch's rows when they are at hand; else they are made from the claim.
        tables: Tables as loaded before, used for the first look; those that are appended to are taken out.
        result: Where to count what is appended; None when the batch is somebody else's.

    Returns:
        False when other writers are past this batch, so that everything must be looked at again.
    """
    claim = _claim_of(claimed)
    content = content or _Content(claim.seed, claim.before, claim.request)
    for spec in REST:
        before, after = getattr(claim.before, spec.name), getattr(claim.after, spec.name)
        for _ in attempts(f"{spec.identifier} of batch {claimed.number}"):
            table = tables.get(spec.name) or _load(lake, spec)
            ledger = read_ledger(table)
            present = ledger.rows if ledger else 0
            if present == after:
                break
            if present != before:
                newest = read_ledger(_load(lake, ITEMS))
                if newest and newest.number > claimed.number:
                    return False
                raise LakeError(
                    f"{spec.identifier}: its ledger counts {present} rows, but batch {claimed.number} needs"
                    f" {before} before and {after} after it; drop the bronze tables to begin anew"
                )
            entry = replace(claimed, rows=present, cents=ledger.cents if ledger else 0, claim=None)
            tables.pop(spec.name, None)  # whatever happens now, this is no longer how the table is
            try:
                _append(lake, spec, table, content, entry=entry, result=result)
            except CommitConflictError:
                continue
            break
    return True


def _append(
    lake: Lake,
    spec: TableSpec,
    table: Table,
    content: _Content,
    *,
    entry: Ledger,
    result: AppendResult | None,
    recent: tuple[str, ...] | None = None,
) -> Ledger:
    """Append one table's rows of a batch in one conditional commit.

    Args:
        lake: The lake.
        spec: The table's specification.
        table: The table as it was loaded when the decision to append was made.
        content: The batch.
        entry: The ledger to write, with the totals before this append.
        result: Where to count; None when the batch is somebody else's.
        recent: Ids of the last batches, when this append is a claim.

    Returns:
        The ledger as written.

    Raises:
        CommitConflictError: Somebody else committed to the table since it was loaded.
    """
    with span(f"iceberg.append {spec.identifier}", **{"iceberg.table": spec.identifier}) as here:
        rows = cents = 0
        files: list[DataFile] = []
        for piece in content.pieces():
            chunk = piece.tables()[spec.name]
            files += write_files(table, [chunk])
            rows += chunk.num_rows
            cents += _cents(chunk, spec)
        ledger = replace(entry, rows=entry.rows + rows, cents=entry.cents + cents)
        if recent is not None:
            claim = Claim(content.seed, content.request, content.before, content.after, recent)
            ledger = replace(ledger, claim=claim)
        transaction = begin(table)
        stage_append(transaction, files, {LEDGER: ledger.to_json()})
        commit(transaction, lambda: lake.load(spec.identifier))
        here.set_attribute("floe.batch", entry.number)
        here.set_attribute("iceberg.rows", rows)
        here.set_attribute("iceberg.snapshot_id", str(snapshot_id(transaction)))
    if result is not None:
        result.rows[spec.name] = rows
        result.cents[spec.name] = cents
        result.snapshots[spec.name] = snapshot_id(transaction)
    return ledger


def _cents(rows: pa.Table, spec: TableSpec) -> int:
    if spec.money_column is None or not rows.num_rows:
        return 0
    return int(pc.sum(rows[spec.money_column]).as_py().scaleb(2))


def _load(lake: Lake, spec: TableSpec) -> Table:
    try:
        return lake.load(spec.identifier)
    except NoSuchTableError as error:
        raise LakeError(f"table {spec.identifier} does not exist: call Lake.ensure_tables first") from error


def _require_seed(ledger: Ledger, seed: int) -> None:
    began_with = _claim_of(ledger).seed
    if began_with != seed:
        raise LakeError(
            f"seed {seed}: this lake was begun with seed {began_with}, and a shop has one history;"
            f" set FLOE_SEED to {began_with}, or drop the bronze tables to begin anew"
        )


def _require_empty(tables: dict[str, Table]) -> None:
    for name, table in tables.items():
        if read_ledger(table):
            raise LakeError(
                f"bronze.{name} has rows but {ITEMS.identifier} has none:"
                " drop the bronze tables to begin anew"
            )


def _claim_of(ledger: Ledger) -> Claim:
    if ledger.claim is None:
        raise LakeError(
            f"the ledger of {ITEMS.identifier} holds no claim: was it written by another version?"
        )
    return ledger.claim


def _number(ledger: Ledger, batch_id: str) -> int:
    """Number of a recent batch; numbers have no gaps."""
    recent = _claim_of(ledger).recent
    return ledger.number - (len(recent) - 1 - recent.index(batch_id))


def _beginning(seed: int, start: datetime | None) -> GeneratorState:
    if start is None:
        raise ValueError("start: the lake is empty, so it must be said when history begins")
    return EcommerceGenerator(seed).initial_state(start)


def _end(until: datetime, before: GeneratorState) -> datetime:
    if until.tzinfo is None:
        raise ValueError(f"until: {until.isoformat()} has no time zone; give it one, e.g. UTC")
    if before.until - LATE <= until <= before.until:
        return before.until + NEXT_MOMENT
    return until.astimezone(UTC)  # the generator refuses what is long past
