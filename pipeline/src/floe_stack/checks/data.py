"""US3, SC-004, FR-006, FR-011 to FR-013: data that come by sensor, by schedule and on demand."""

from __future__ import annotations

import time
from typing import Final

from floe_stack.checks.finding import Finding, Question, judged, within
from floe_stack.dagster import (
    ENDED,
    GENERATE_JOB,
    SCHEDULE,
    SEED_JOB,
    SENSOR,
    SUCCESS,
    Instigator,
    Run,
)
from floe_stack.errors import StackError
from floe_stack.generate import ORDERS, generate
from floe_stack.lake import row_counts
from floe_stack.measure import machine, percentile, spread
from floe_stack.patience import until
from floe_stack.stack import Stack

SEED_PROMISE, SEED_OURS = 120, 20
SHOWN_PROMISE, SHOWN_OURS = 30, 10
WHOLE_PROMISE, WHOLE_OURS = 60, 12
TRIGGERS: Final = 10
TRIGGER_ORDERS: Final = 100
# A scheduled run that is older proves nothing of today; the next one is waited for, unless it is far.
RECENT_SECONDS: Final = 600.0
LONGEST_WAIT_SECONDS: Final = 330.0  # a little more than the default cron's five minutes
TICK_SECONDS: Final = 15.0  # until Dagster tells of a tick
RUN_SECONDS: Final = 180.0  # for the run of a tick, which may wait for its turn
SENSOR_TAG, SCHEDULE_TAG = "dagster/sensor_name", "dagster/schedule_name"


def _seeded(stack: Stack) -> list[Finding]:
    rows = row_counts(stack.lake().tables())
    bronze = {name: count for name, count in rows.items() if name.startswith("bronze.")}
    empty = [f"{name} is empty" for name, count in bronze.items() if not count]
    if len(bronze) < 4:
        empty.append(f"only {sorted(bronze)} of the bronze tables are there")
    seeds = stack.dagster.runs(SEED_JOB, statuses=(SUCCESS,), limit=100)
    sensor = stack.dagster.sensor(SENSOR)
    said = f"{bronze.get('bronze.orders', 0):,} orders of {bronze.get('bronze.customers', 0):,} customers"
    if not seeds:
        empty.append(f"no run of {SEED_JOB} succeeded (or Dagster's history of it was lost)")
        return [judged(empty, said, rows=rows), _by_sensor(None, sensor)]
    first = seeds[-1]
    seconds = (first.ended or first.created) - first.created
    finding = within(
        seconds,
        promise=SEED_PROMISE,
        ours=SEED_OURS,
        unit="s",
        seen=f"{said}; seeded in {seconds:.1f} s",
        rows=rows,
        run=first.id,
    )
    return [judged(empty, said, rows=rows) if empty else finding, _by_sensor(first, sensor)]


def _by_sensor(seed: Run | None, sensor: Instigator) -> Finding:
    wrong = [] if sensor.is_on else [f"{SENSOR} is off"]
    if not sensor.ticks:
        wrong.append(f"{SENSOR} never looked")
    failed = [tick for tick in sensor.ticks if tick.status == "FAILURE"]
    wrong += [f"{SENSOR} failed: {tick.reason}" for tick in failed[:1]]
    by = (seed.tags.get(SENSOR_TAG) or "a person") if seed else "nobody"
    last = sensor.ticks[0].reason if sensor.ticks else "no look"
    return judged(wrong, f"seeded by {by}; its last look: {last}", seeded_by=by, ticks=len(sensor.ticks))


def _scheduled(stack: Stack) -> list[Finding]:
    """A run of the schedule that added orders: a recent one, or else the next one is waited for."""
    schedule = stack.dagster.schedule(SCHEDULE)
    if not schedule.is_on:
        return 2 * [judged([f"{SCHEDULE} is off"], "off")]
    run, waited = _last_scheduled(stack), 0.0
    age = time.time() - run.created if run else float("inf")
    due = (schedule.next_at or time.time()) - time.time()
    if run is None or (age > RECENT_SECONDS and due < LONGEST_WAIT_SECONDS):
        run, waited = _next_scheduled(stack, schedule, due, after=run)
    added = int(run.written["bronze.orders"].facts["rows_appended"])
    wrong = [] if added else [f"run {run.id} of the schedule added no orders"]
    how = f"after {waited:.0f} s, in its next run" if waited else f"in its run {age / 60:.0f} min ago"
    finding = judged(
        wrong,
        f"cron {schedule.cron!r} added {added} orders to make {run.rows(ORDERS):,}, {how}",
        run=run.id,
        cron=schedule.cron,
        added=added,
        waited_seconds=round(waited, 1),
        ticks=[f"{tick.status} {tick.reason}".strip() for tick in schedule.ticks[:5]],
    )
    return [finding, finding]


def _last_scheduled(stack: Stack) -> Run | None:
    """The newest success of the schedule that appended; one that went on after a failure need not have."""
    tags = {SCHEDULE_TAG: SCHEDULE}
    for run in stack.dagster.runs(GENERATE_JOB, statuses=(SUCCESS,), tags=tags, limit=5):
        details = stack.dagster.run(run.id)
        if "bronze.orders" in details.written:
            return details
    return None


def _next_scheduled(stack: Stack, schedule: Instigator, due: float, after: Run | None) -> tuple[Run, float]:
    """The run of the tick that is due in so many seconds, and how long it was waited for."""
    if due > LONGEST_WAIT_SECONDS:
        raise StackError(
            f"no scheduled run yet, and cron {schedule.cron!r} ticks in {due / 60:.0f} min only:"
            " come back then, or set scheduleCron"
        )
    began = time.monotonic()
    run = _run_of_tick(stack, due, RUN_SECONDS if schedule.ticks else TICK_SECONDS, after)
    if run is None and not schedule.ticks:
        # A daemon that sees a schedule for the first time at a tick begins with the one after.
        schedule = stack.dagster.schedule(SCHEDULE)
        due = schedule.next_at - time.time() if schedule.next_at and not schedule.ticks else 0
        run = _run_of_tick(stack, due, RUN_SECONDS, after)
    if run:
        return run, time.monotonic() - began
    newest = stack.dagster.schedule(SCHEDULE).ticks[:1]
    told = f"{newest[0].status} {newest[0].reason}" if newest else "it did not tick"
    raise StackError(f"no scheduled run ended within {RUN_SECONDS:.0f} s of its tick: {told}")


def _run_of_tick(stack: Stack, due: float, seconds: float, after: Run | None) -> Run | None:
    """The run of a tick that is due in so many seconds; None when it has not ended so many seconds later."""
    due_at = time.monotonic() + max(due, 0)

    def look() -> Run | None:
        run = _last_scheduled(stack)
        if run and (after is None or run.id != after.id):
            return run
        left = due_at - time.monotonic()
        stack.say(f"the schedule ticks in {left:.0f} s" if left > 0 else "the schedule's run is under way")
        return None

    return until(look, bool, seconds=max(due, 0) + seconds, every=1)


def _on_demand(stack: Stack) -> list[Finding]:
    """Triggers one after another, each when no other run is under way, so that each number is its own."""
    hops = []
    for number in range(1, TRIGGERS + 1):
        stack.say(f"trigger {number} of {TRIGGERS}")
        stack.dagster.wait_quiet()
        hops.append(generate(stack, orders=TRIGGER_ORDERS))
    answered = [each.answered for each in hops]
    evidence: dict[str, object] = {
        "machine": machine(),
        "orders_each": TRIGGER_ORDERS,
        "seconds_to_answer": spread(answered),
        "seconds_to_start": spread([each.started for each in hops]),
        "seconds_to_append": spread([each.appended for each in hops]),
        "seconds_to_publish": spread([each.published for each in hops]),
        "runs": [each.run.id for each in hops],
    }
    p50, p95 = percentile(answered, 50), percentile(answered, 95)
    seen = f"{TRIGGERS} triggers: p50 {p50:.1f} s, p95 {p95:.1f} s, {evidence['machine']}"
    shown = within(p95, promise=SHOWN_PROMISE, ours=SHOWN_OURS, unit="s", seen=seen, **evidence)
    whole = within(p95, promise=WHOLE_PROMISE, ours=WHOLE_OURS, unit="s", seen=seen, **evidence)
    return [shown, whole, judged([], f"{TRIGGERS} runs of {GENERATE_JOB} by GraphQL, all succeeded")]


def _transformed(stack: Stack) -> list[Finding]:
    """The newest run with marts that ended, ended well: dbt fails the run of a failed test."""
    ended = (stack.dagster.run(run.id) for run in stack.dagster.runs(statuses=ENDED))
    newest = next((run for run in ended if "marts" in run.steps), None)
    if newest is None:
        return [judged(["no run with marts ended yet"], "no run")]
    gold = sorted(name for name in newest.written if name.startswith("gold."))
    wrong = [] if newest.status == SUCCESS else [f"run {newest.id} of {newest.job} ended as {newest.status}"]
    if not gold:
        wrong.append(f"run {newest.id} published no mart")
    return [judged(wrong, f"{len(gold)} marts by dbt in run {newest.id[:8]}", marts=gold, run=newest.id)]


QUESTIONS: Final = (
    Question(
        {
            "US3.1": "Empty tables are seeded: customers, products, orders, order items within 2 minutes",
            "FR-011": "A sensor looks for empty tables and starts the seed",
        },
        _seeded,
    ),
    Question(
        {
            "US3.2": "The schedule fires, and orders grow",
            "FR-012": "The schedule's cron is a setting",
        },
        _scheduled,
    ),
    Question(
        {
            "US3.3": "A trigger through GraphQL shows in Cube's answers within 30 s",
            "SC-004": "Generation, dbt and Cube's answer take less than 60 s together",
            "FR-013": "Generation can be triggered through Dagster's GraphQL API",
        },
        _on_demand,
    ),
    Question({"FR-006": "Transformations are made by dbt in Dagster's run"}, _transformed),
)
