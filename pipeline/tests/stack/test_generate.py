"""Orders on demand: when they count as answered, and what is said when they do not come."""

from __future__ import annotations

from typing import Any, cast

import pytest
from dagster_graphql.schema import create_schema
from graphql import parse, validate

from floe_stack import dagster, generate
from floe_stack.dagster import Materialization, Run
from floe_stack.errors import StackError
from floe_stack.stack import Stack

BEFORE, AFTER = 1000, 1500


class FakeDagster:
    """Runs one job, which is over after some looks."""

    url = "http://dagster"

    def __init__(self, status: str = "SUCCESS", looks: int = 2) -> None:
        self.status, self.looks = status, looks
        self.launched: dict[str, int] = {}

    def launch(self, job: str, config: dict[str, int]) -> str:
        assert job == "generate_orders_job"
        self.launched = config
        return "run-1"

    def run(self, run_id: str) -> Run:
        self.looks -= 1
        facts = {
            "bronze.orders": {"snapshot_id": "1"},
            "gold.orders": {"snapshot_id": "2", "dagster/row_count": str(AFTER)},
        }
        written = {table: Materialization(table, known) for table, known in facts.items()}
        steps: dict[str, tuple[float | None, float | None]] = {"bronze": (101, 102.5), "marts": (102.6, 120)}
        status = "STARTED" if self.looks > 0 else self.status
        return Run(run_id, "generate_orders_job", status, 100.0, 100.5, 104.5, {}, steps, written)


class FakeCube:
    """Counts the old orders for some looks, then others' orders too, then all."""

    def __init__(self, *counts: int) -> None:
        self.counts = list(counts)

    def number(self, measure: str) -> int:
        assert measure == "Orders.count"
        return self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]


class FakeLake:
    """When the snapshots of both tables were committed."""

    def committed_at(self, identifier: str, snapshot_id: int) -> float:
        return {("bronze.orders", 1): 102.0, ("gold.orders", 2): 104.0}[identifier, snapshot_id]


class FakeStack:
    def __init__(self, dagster: FakeDagster, cube: FakeCube) -> None:
        self.dagster, self.cube = dagster, cube

    def say(self, what: str) -> None:
        del what

    def lake(self) -> FakeLake:
        return FakeLake()


def make(dagster: FakeDagster, cube: FakeCube, **arguments: Any) -> generate.Hops:
    return generate.generate(cast("Stack", FakeStack(dagster, cube)), **{"orders": 500, **arguments})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "ASK_DAGSTER_SECONDS", 0.01)
    monkeypatch.setattr(generate, "ASK_CUBE_SECONDS", 0.01)
    monkeypatch.setattr(generate, "LIMIT_SECONDS", 1.0)


def test_orders_are_answered_when_cube_counts_as_many_as_the_mart_has() -> None:
    hops = make(FakeDagster(), FakeCube(BEFORE, BEFORE, BEFORE + 100, BEFORE + 100, AFTER))
    assert (hops.started, hops.appended, hops.published) == (1.0, 2.0, 4.0)
    assert hops.orders == AFTER
    assert 0 < hops.answered < 1
    assert [name for name, *_ in hops.rows()] == [
        "run started", "appended to bronze", "marts published", "Cube answers",
    ]  # fmt: skip
    assert [own for _, own, _ in hops.rows()][:3] == [1.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("customers", "config"), [(None, {"orders": 500}), (3, {"orders": 500, "customers": 3})]
)
def test_the_job_takes_its_own_number_of_customers_unless_told(
    customers: int | None, config: dict[str, int]
) -> None:
    launcher = FakeDagster()
    make(launcher, FakeCube(AFTER), customers=customers)
    assert launcher.launched == config


def test_a_run_that_fails_says_where_to_look() -> None:
    with pytest.raises(StackError, match=r"ended as FAILURE: http://dagster/runs/run-1 shows why"):
        make(FakeDagster("FAILURE"), FakeCube(BEFORE))


def test_a_cube_that_stays_behind_is_an_error_with_both_numbers() -> None:
    with pytest.raises(StackError, match=r"Cube counts 1,000 of 1,500 orders after 1 s"):
        make(FakeDagster(), FakeCube(BEFORE))


@pytest.mark.parametrize(
    "query", ["_RUNS", "_DETAILS", "_EVENTS", "_LAUNCH", "_WRITTEN", "_SCHEDULE", "_SENSOR"]
)
def test_every_question_is_one_that_dagster_understands(query: str) -> None:
    assert validate(create_schema().graphql_schema, parse(getattr(dagster, query))) == []
