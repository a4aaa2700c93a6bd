"""Runs while something dies: nothing is appended twice, no tick is lost, telemetry costs nothing."""

from __future__ import annotations

import math
import time
from datetime import datetime
from statistics import median

from floe_stack.dagster import GENERATE_JOB, SCHEDULE, SUCCESS, Run
from floe_stack.generate import generate
from floe_stack.lake import ledger_totals
from floe_stack.stack import Stack

from .conftest import Record
from .faults import away, eventually, healed, lose_pod

PROMISE = 60
PARENT = "dagster/parent_run_id"
LEAD_SECONDS = 40  # the daemon ends at once or after its grace period of 20 s
MANY = 40_000  # orders: a batch that takes some seconds to append
RUNS = 3
SLOWER_SHARE, SLOWER_SECONDS = 0.5, 2.0  # of a run's median, and on top
SLOWER_OURS = 0.3  # seconds
END_SECONDS = 5  # in which the process of a run that is over may still log


def test_the_code_location_is_killed_in_mid_run(stack: Stack, record: Record) -> None:
    before = _orders(stack)
    killed = stack.dagster.launch(GENERATE_JOB, {"orders": MANY})
    eventually(lambda: stack.dagster.run(killed).steps)
    began = lose_pod(stack, "dagster-code", at_once=True)
    retry = eventually(lambda: _retry_of(stack, killed))
    eventually(lambda: stack.dagster.run(retry.id).status == SUCCESS)
    seconds = time.monotonic() - began
    proof = healed(stack, began)
    stack.dagster.wait_quiet()
    others = sum(_appended(stack, run) for run in _runs_since(stack, killed) if run.id != retry.id)
    assert _orders(stack) - before - others == MANY, "not exactly once"
    record(
        "B2 code",
        "The code location is killed in mid-run: retried, nothing appended twice",
        **{**proof, "seconds": seconds},
        promise=PROMISE,
        killed=killed,
        retry=retry.id,
        appended_once=MANY,
    )


def test_the_daemon_is_away_over_a_tick(stack: Stack, record: Record) -> None:
    due = eventually(lambda: _tick_in_time(stack))
    eventually(lambda: time.time() > due - LEAD_SECONDS)
    with away(stack, "dagster-daemon"):
        assert time.time() < due, "too slow to take the daemon away before its tick"
        eventually(lambda: time.time() > due + 3)
        began = time.monotonic()
    run_id = eventually(lambda: _run_of_tick(stack, due))
    eventually(lambda: stack.dagster.run(run_id).status == SUCCESS)
    record(
        "B2 tick",
        "The daemon is away over a tick of the schedule: the tick is made up for",
        seconds=time.monotonic() - began,
        promise=PROMISE,
        run=run_id,
        due=datetime.fromtimestamp(due).astimezone().isoformat(),
    )
    healed(stack, began)


def test_telemetry_that_is_down_neither_fails_nor_slows_a_run(stack: Stack, record: Record) -> None:
    usual = _seconds_of_runs(stack)
    with away(stack, "jaeger"), away(stack, "marquez"):
        began = time.monotonic()
        without = _seconds_of_runs(stack)
        lost = {what: _lines(stack, what, began) for what in ("traces are lost", "lineage is lost")}
        most = _runs_under_way_since(stack, began - END_SECONDS)
        ended = time.monotonic()
    assert all(RUNS <= len(lines) <= most for lines in lost.values()), f"not one line a run: {lost}"
    proof = healed(stack, ended)
    again = _seconds_of_runs(stack)
    with_them, without_them = median(usual + again), median(without)
    record(
        "B2 telemetry",
        "Jaeger and Marquez are away: a run takes so much longer",
        promise=round(SLOWER_SHARE * with_them + SLOWER_SECONDS, 1),
        ours=SLOWER_OURS,
        user_sees=lost["traces are lost"][0],
        **{**proof, "seconds": max(0.0, without_them - with_them)},
        usual=usual,
        without=without,
        again=again,
        ratio=round(without_them / with_them, 2),
    )


def _orders(stack: Stack) -> int:
    return ledger_totals(stack.lake().tables())["orders"].rows


def _retry_of(stack: Stack, run_id: str) -> Run | None:
    return next(iter(stack.dagster.runs(GENERATE_JOB, tags={PARENT: run_id})), None)


def _runs_since(stack: Stack, run_id: str) -> list[Run]:
    runs = stack.dagster.runs(GENERATE_JOB, limit=50)
    return runs[: [run.id for run in runs].index(run_id)]


def _appended(stack: Stack, run: Run) -> int:
    written = stack.dagster.run(run.id).written
    return int(written["bronze.orders"].facts["rows_appended"]) if "bronze.orders" in written else 0


def _tick_in_time(stack: Stack) -> float | None:
    """When the schedule ticks next, if the daemon can be taken away before."""
    due = stack.dagster.schedule(SCHEDULE).next_at
    assert due, "the schedule is off"
    return due if due - time.time() > LEAD_SECONDS else None


def _run_of_tick(stack: Stack, due: float) -> str | None:
    ticks = stack.dagster.schedule(SCHEDULE).ticks
    return next((run for tick in ticks if tick.at == due for run in tick.runs), None)


def _seconds_of_runs(stack: Stack) -> list[float]:
    """How long each of some runs took, one after another; all of them succeed."""
    taken = []
    for _ in range(RUNS):
        stack.dagster.wait_quiet()
        run = generate(stack, orders=20).run
        assert run.started, run
        assert run.ended, run
        taken.append(round(run.ended - run.started, 2))
    return taken


def _lines(stack: Stack, words: str, since: float) -> list[str]:
    """Lines with these words that runs logged since a moment of the monotonic clock."""
    seconds = math.ceil(time.monotonic() - since)
    log = stack.kubectl.run("logs", "deployment/dagster-code", f"--since={seconds}s", "--tail=-1")
    return [line for line in log.splitlines() if words in line]


def _runs_under_way_since(stack: Stack, since: float) -> int:
    """How many runs of any job, the schedule's too, were under way since a moment of the monotonic clock."""
    moment = time.time() - (time.monotonic() - since)
    return sum(1 for run in stack.dagster.runs(limit=50) if (run.ended or math.inf) >= moment)
