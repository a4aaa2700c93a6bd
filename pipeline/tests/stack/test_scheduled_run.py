"""The schedule's next run is waited for, also when the daemon began too late for the first tick."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from floe_stack import patience
from floe_stack.checks import data
from floe_stack.errors import StackError

FIRST_TICK, SECOND_TICK = 40.0, 340.0


class Clock:
    """Time that passes by sleeping only."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(data, "time", made)
    monkeypatch.setattr(patience, "time", made)
    return made


def stack_with(clock: Clock, *, run_at: float, ticked: bool) -> SimpleNamespace:
    """A stack whose schedule's first run ended at a moment, or never."""
    tick = SimpleNamespace(status="SUCCESS", reason="")

    def schedule(_: str) -> SimpleNamespace:
        following = FIRST_TICK if clock.now < FIRST_TICK else SECOND_TICK
        return SimpleNamespace(ticks=[tick] if ticked else [], next_at=following, cron="*/5 * * * *")

    def runs(*_: object, **__: object) -> list[SimpleNamespace]:
        return [SimpleNamespace(id="run")] if clock.now >= run_at else []

    details = SimpleNamespace(id="run", written={"bronze.orders": None})
    dagster = SimpleNamespace(schedule=schedule, runs=runs, run=lambda _: details)
    return SimpleNamespace(dagster=dagster, say=lambda _: None)


def wait(stack: SimpleNamespace) -> float:
    _, waited = data._next_scheduled(stack, stack.dagster.schedule(""), FIRST_TICK, after=None)
    return waited


def test_the_run_of_the_next_tick_is_taken(clock: Clock) -> None:
    assert wait(stack_with(clock, run_at=FIRST_TICK + 8, ticked=False)) == pytest.approx(48, abs=2)


def test_a_daemon_that_began_at_the_first_tick_is_given_the_second(clock: Clock) -> None:
    assert wait(stack_with(clock, run_at=SECOND_TICK + 8, ticked=False)) == pytest.approx(348, abs=2)


@pytest.mark.parametrize("ticked", [True, False])
def test_a_schedule_that_starts_no_run_fails_in_the_end(clock: Clock, ticked: bool) -> None:
    with pytest.raises(StackError, match="no scheduled run ended within 180 s of its tick"):
        wait(stack_with(clock, run_at=10_000, ticked=ticked))
    assert clock.now < SECOND_TICK + data.RUN_SECONDS + 5
