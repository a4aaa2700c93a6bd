"""New orders on demand: triggered through GraphQL, followed until Cube answers with them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from floe_stack.cube import COUNT
from floe_stack.dagster import ENDED, GENERATE_JOB, SUCCESS, Run
from floe_stack.errors import StackError
from floe_stack.patience import until
from floe_stack.stack import Stack

LIMIT_SECONDS: Final = 300.0
ASK_CUBE_SECONDS: Final = 0.05
ASK_DAGSTER_SECONDS: Final = 0.25
BRONZE: Final = "bronze.orders"
ORDERS: Final = "gold.orders"


@dataclass(frozen=True)
class Hops:
    """How long new orders took to each place, in seconds since they were asked for.

    Attributes:
        run: The run that made them.
        orders: Orders in the mart after it.
        started: The run's first step began.
        appended: They are committed to bronze.orders, the last of the bronze tables.
        published: They are committed to gold.orders; the run goes on with the other marts and tests.
        answered: Cube answers with them.
    """

    run: Run
    orders: int
    started: float
    appended: float
    published: float
    answered: float

    def rows(self) -> list[tuple[str, float, float]]:
        """Each hop with its own seconds and those since the trigger."""
        moments = [
            ("run started", self.started),
            ("appended to bronze", self.appended),
            ("marts published", self.published),
            ("Cube answers", self.answered),
        ]
        before = [0.0, *(moment for _, moment in moments)]
        return [
            (name, moment - earlier, moment) for (name, moment), earlier in zip(moments, before, strict=False)
        ]


def generate(stack: Stack, *, orders: int, customers: int | None = None) -> Hops:
    """Let Dagster make a batch of orders, and wait until Cube counts them.

    Args:
        stack: The stack.
        orders: Size of the batch.
        customers: New customers; None for the job's own number.

    Raises:
        StackError: The run is refused or fails, or Cube does not count its orders in time.
    """
    config = {"orders": orders, **({} if customers is None else {"customers": customers})}
    stack.cube.number(COUNT)  # both doors are open before the time counts
    dagster, seen = stack.dagster, list[tuple[float, int]]()
    began = time.monotonic()
    run_id = dagster.launch(GENERATE_JOB, config)
    stack.say(f"run {run_id}")
    run: Run | None = None
    asked = began

    def look() -> float | None:
        """When Cube answered with the orders of the run, once that is over."""
        nonlocal run, asked
        count, now = stack.cube.number(COUNT), time.monotonic()
        if not seen or count != seen[-1][1]:
            seen.append((now - began, count))
        if run is None and now - asked > ASK_DAGSTER_SECONDS:
            asked, found = now, dagster.run(run_id)
            run = found if found.status in ENDED else None
        if run and run.status != SUCCESS:
            raise StackError(f"the run ended as {run.status}: {dagster.url}/runs/{run_id} shows why")
        return next((at for at, counted in seen if counted >= run.rows(ORDERS)), None) if run else None

    answered = until(look, lambda at: at is not None, seconds=LIMIT_SECONDS, every=ASK_CUBE_SECONDS)
    if run is None or answered is None:
        wanted = (
            f"Cube counts {seen[-1][1]:,} of {run.rows(ORDERS):,} orders" if run else "the run is not over"
        )
        raise StackError(f"{wanted} after {LIMIT_SECONDS:.0f} s: `make status` shows what waits")
    return _hops(stack, run, answered)


def _hops(stack: Stack, run: Run, answered: float) -> Hops:
    """Times inside the cluster count from when Dagster took the request: its clock need not be ours."""
    lake = stack.lake()
    begins = [begin for begin, _ in run.steps.values() if begin]
    appended, published = (
        lake.committed_at(table, int(run.written[table].facts["snapshot_id"])) for table in (BRONZE, ORDERS)
    )
    return Hops(
        run=run,
        orders=run.rows(ORDERS),
        started=min(begins) - run.created,
        appended=appended - run.created,
        published=published - run.created,
        answered=answered,
    )
