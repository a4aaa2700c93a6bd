"""What `floe demo` does: seed or go on, cycles, marts, proof, and a page that shows all of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import pyarrow.compute as pc

from floe_pipeline.lake.append import AppendResult, append_batch
from floe_pipeline.lake.catalog import Lake, TableTotals
from floe_pipeline.lake.ledger import Ledger, batch_ends, read_ledger
from floe_pipeline.lake.tables import BRONZE, CLAIMS
from floe_pipeline.report.graph import Lineage, read_lineage
from floe_pipeline.report.page import Report, ReportError, write_page
from floe_pipeline.report.patterns import Patterns, collect
from floe_pipeline.report.spans import read_trace
from floe_pipeline.report.step import Step
from floe_pipeline.settings import Settings
from floe_pipeline.telemetry import configure, current_trace_id, run_trace, span
from floe_pipeline.transform import lineage
from floe_pipeline.transform.runner import TransformResult, build
from floe_pipeline.verify.checks import run_checks
from floe_pipeline.verify.evidence import Check, write_evidence
from floe_synthetic.ecommerce import EcommerceGenerator

CYCLE: Final = timedelta(minutes=5)  # the schedule's rhythm, which the demo's cycles pretend to have


class Display(Protocol):
    """Who shows the steps while they happen."""

    def started(self, name: str) -> None:
        """A step began."""

    def finished(self, step: Step) -> None:
        """It ended well."""


@dataclass(frozen=True)
class DemoResult:
    """What a demo made and found.

    Attributes:
        steps: All steps in order.
        checks: B1 and the rules behind it.
        page: The report, or None when the packages that draw it are not installed.
        page_problem: Why there is no report.
        evidence: The evidence file.
        trace_id: The run's trace.
        continued: Whether an earlier demo's lake was gone on with.
    """

    steps: list[Step]
    checks: list[Check]
    page: Path | None
    page_problem: str | None
    evidence: Path
    trace_id: str | None
    continued: bool


class _Steps:
    """Measures steps, remembers them, and tells the display; each is a span of the run's trace."""

    def __init__(self, display: Display, done: Sequence[Step]) -> None:
        self.done = list(done)
        self._display = display

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Run one step; what is appended to the list becomes its "made"."""
        self._display.started(name)
        made: list[str] = []
        began = time.perf_counter()
        with span(name):
            yield made
        self.done.append(Step(name, ", ".join(made), time.perf_counter() - began))
        self._display.finished(self.done[-1])


class _GeneratorsWord:
    """What the generator makes in all, counted from its own output and not from what was stored.

    Each batch is generated a second time here, from nothing but the request, and summed. For a lake that was
    begun by an earlier run, the ledger's totals at this run's start are the base.
    """

    def __init__(self, lake: Lake, seed: int) -> None:
        self._lake = lake
        self._generator = EcommerceGenerator(seed)
        ledgers = {spec.name: read_ledger(lake.load(spec.identifier)) for spec in BRONZE}
        self._rows = {name: ledger.rows if ledger else 0 for name, ledger in ledgers.items()}
        self._cents = {name: ledger.cents if ledger else 0 for name, ledger in ledgers.items()}
        claims = ledgers["order_items"]
        self._number = claims.number if claims else 0
        self._alone = True

    def count(self) -> None:
        """Add the batch that was just appended."""
        ledger = read_ledger(self._lake.load(CLAIMS))
        assert ledger is not None
        assert ledger.claim is not None
        self._number += 1
        self._alone = self._alone and ledger.number == self._number
        if not self._alone:
            return
        request = ledger.claim.request
        for piece in self._generator.batches(
            ledger.claim.before,
            until=request.until,
            orders=request.orders,
            customers=request.customers,
            products=request.products,
        ):
            for spec in BRONZE:
                table = piece.tables()[spec.name]
                self._rows[spec.name] += table.num_rows
                if spec.money_column and table.num_rows:
                    self._cents[spec.name] += int(pc.sum(table[spec.money_column]).as_py().scaleb(2))

    def totals(self) -> dict[str, TableTotals] | None:
        """By table name; None when somebody else wrote to the lake meanwhile, whose batches were not seen."""
        if not self._alone:
            return None
        return {name: TableTotals(rows=rows, cents=self._cents[name]) for name, rows in self._rows.items()}


def run_demo(
    settings: Settings, *, cycles: int, out: Path, display: Display, done: Sequence[Step] = ()
) -> DemoResult:
    """Run the demo on a lake that is ready (bootstrapped), whatever an earlier run left there.

    Args:
        settings: Where the lake is, and the sizes of seed and cycle.
        cycles: How many batches follow the seed.
        out: Folder of `report.html` and `evidence/demo.json`.
        display: Who shows the steps.
        done: Steps that were taken before this call, for the table.

    Returns:
        What was made and what the checks found; a failed check is a result, not an error.

    Raises:
        LakeError: The lake cannot be reached or was begun with another seed.
        TransformError: A model or a test failed.
        OSError: `out` cannot be written to.
    """
    configure(settings)
    steps = _Steps(display, done)
    run_id = str(uuid.uuid4())
    with run_trace("demo", run_id=run_id):
        trace_id = current_trace_id()
        lake = Lake.connect(settings)
        lake.ensure_tables()
        last = read_ledger(lake.load(CLAIMS))
        if last:
            _go_on(lake, settings, last, steps, run_id)
        word = _GeneratorsWord(lake, settings.seed)
        _fill(lake, settings, steps, word, cycles=cycles, run_id=run_id)
        with steps.step("Verify") as made, lake.duckdb_connect() as connection:
            checks = run_checks(lake, settings, word.totals(), connection)
            patterns = collect(connection, batch_ends(lake.load(CLAIMS)))
            made.append(f"{sum(check.passed for check in checks)} of {len(checks)} checks passed")
    page: Path | None = out / "report.html"
    problem = None
    with steps.step("Report") as made:
        lineage.flush()
        try:
            write_page(_report(settings, patterns, steps.done, checks, trace_id), out / "report.html")
        except ReportError as error:  # the optional packages are not there: the demo is worth having without
            page, problem = None, str(error)
        made.append(problem or str(page))
    evidence = out / "evidence" / "demo.json"
    write_evidence("demo", settings.target, checks, evidence)
    return DemoResult(steps.done, checks, page, problem, evidence, trace_id, continued=last is not None)


def _fill(
    lake: Lake, settings: Settings, steps: _Steps, word: _GeneratorsWord, *, cycles: int, run_id: str
) -> None:
    """Seed when the lake is empty, then the cycles; after each the marts."""
    now = datetime.now(UTC)

    def append(name: str, until: datetime) -> str:
        appended = append_next(lake, settings, batch_id=f"{run_id}-{name}", until=until, run_id=run_id)
        word.count()
        lineage.emit_generate(settings, appended, origin=lineage.Origin(run_id, current_trace_id()))
        return _described(appended)

    if read_ledger(lake.load(CLAIMS)) is None:
        with steps.step("Seed") as made:
            made.append(append("seed", now - cycles * CYCLE))
    with steps.step("Marts") as made:
        made.append(_built(build(settings, lake=lake, run_id=run_id)))
    for number, until in enumerate(_ends(lake, now, cycles), 1):
        with steps.step(f"Cycle {number}") as made:
            made.append(append(str(number), until))
            made.append(_built(build(settings, lake=lake, run_id=run_id)))


def append_next(
    lake: Lake,
    settings: Settings,
    *,
    batch_id: str,
    until: datetime,
    orders: int | None = None,
    customers: int | None = None,
    products: int = 0,
    run_id: str | None = None,
) -> AppendResult:
    """Append what comes next: the seed when the lake is empty, else a cycle.

    Args:
        lake: With the bronze tables in it.
        settings: Sizes of seed and cycle, the seed's history, the generator's seed.
        batch_id: Names the batch; the same id again appends nothing.
        until: End of the batch's window, with a time zone.
        orders: Other than the settings say.
        customers: Other than the settings say.
        products: New products; the seed has at least the settings' number.
        run_id: For the ledger.

    Raises:
        ValueError: An argument cannot be used; the message names it.
        LakeError: The lake cannot be reached or was begun with another seed.
    """
    empty = read_ledger(lake.load(CLAIMS)) is None
    default_orders = settings.seed_orders if empty else settings.cycle_orders
    default_customers = settings.seed_customers if empty else settings.cycle_customers
    return append_batch(
        lake,
        batch_id=batch_id,
        seed=settings.seed,
        orders=default_orders if orders is None else orders,
        customers=default_customers if customers is None else customers,
        products=max(products, settings.seed_products) if empty else products,
        until=until,
        start=until - timedelta(days=settings.history_days),
        run_id=run_id,
    )


def _go_on(lake: Lake, settings: Settings, last: Ledger, steps: _Steps, run_id: str) -> None:
    """Complete what an interrupted run may have left half appended, by asking for its batch again."""
    assert last.claim is not None
    request = last.claim.request
    with steps.step("Go on") as made:
        completed = append_batch(
            lake,
            batch_id=last.batch_id,
            seed=settings.seed,
            orders=request.orders,
            customers=request.customers,
            products=request.products,
            until=request.until,
            run_id=run_id,
        )
        made.append(f"after batch {last.number:,}, {last.claim.after.orders:,} orders")
        if any(completed.rows.values()):
            made.append(f"completed it: {_described(completed)}")


def _ends(lake: Lake, now: datetime, cycles: int) -> list[datetime]:
    """Ends of the cycles' windows, evenly from the last batch's end to now."""
    ledger = read_ledger(lake.load(CLAIMS))
    assert ledger is not None
    assert ledger.claim is not None
    last = ledger.claim.request.until
    return [last + (now - last) * number / cycles for number in range(1, cycles + 1)]


def _described(appended: AppendResult) -> str:
    names = {"orders": "orders", "order_items": "lines", "customers": "customers", "products": "products"}
    return ", ".join(
        f"{appended.rows[table]:,} {name}" for table, name in names.items() if appended.rows[table]
    )


def _built(result: TransformResult) -> str:
    tests = sum(node.resource_type == "test" for node in result.nodes)
    return f"{len(result.snapshots) or 'no'} marts published, {tests} tests passed"


def _report(
    settings: Settings,
    patterns: Patterns,
    steps: Sequence[Step],
    checks: Sequence[Check],
    trace_id: str | None,
) -> Report:
    return Report(
        target=settings.target,
        made_at=datetime.now(UTC),
        patterns=patterns,
        checks=checks,
        steps=steps,
        spans=read_trace(settings.traces_file, trace_id) if settings.traces == "file" and trace_id else (),
        lineage=read_lineage(settings.lineage_file) if settings.lineage == "file" else Lineage(),
        facts=[
            ("Catalog", f"{settings.catalog_name} at {settings.catalog_uri}"),
            ("Seed", f"{settings.seed}: the same seed and requests make the same rows on any machine"),
            ("Trace", trace_id or "not traced"),
            ("Ask it yourself", 'floe query "SELECT * FROM gold.daily_revenue"'),
        ],
    )
