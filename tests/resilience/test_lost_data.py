"""A service cut off with all that it held: a clear error meanwhile, and correct data again without a hand."""

from __future__ import annotations

import time

from floe_stack.dagster import SENSOR
from floe_stack.errors import StackError
from floe_stack.stack import Stack

from .conftest import Record
from .faults import (
    add_unread_orders,
    ask_cube,
    away,
    eventually,
    fresh_question,
    healed,
    is_ready,
    restarts,
    table_ids,
    wait_made_anew,
    wait_well,
)

EMPTYDIR_PROMISE, AWAY_PROMISE = 120, 60


def _complaint(stack: Stack) -> str:
    """Cube's words about a lake that is away, with a status that says whose fault it is.

    One question, asked again while the answer is "Continue wait", as Cube's clients do.
    """
    question = fresh_question()

    def refused() -> str:
        status, said = ask_cube(stack, question)
        return f"{status} {said}" if status >= 500 else ""

    return eventually(refused)


def test_polaris_is_away(stack: Stack, record: Record) -> None:
    """Cube is not ready, Dagster waits, and both are well again by themselves."""
    before = restarts(stack, "cube")
    with away(stack, "polaris"):
        said = _complaint(stack)
        eventually(lambda: not is_ready(stack, "cube"))
        skipped = eventually(
            lambda: [t.reason for t in stack.dagster.sensor(SENSOR).ticks[:1] if "polaris" in t.reason]
        )
        began = time.monotonic()
    proof = healed(stack, began)
    assert "http://polaris:8181" in said
    assert restarts(stack, "cube") == before
    record("E2", "The catalog is away", promise=AWAY_PROMISE, user_sees=said, sensor_says=skipped[0], **proof)


def test_storage_is_lost_during_queries(stack: Stack, record: Record) -> None:
    before, tables = restarts(stack, "cube"), table_ids(stack)
    add_unread_orders(stack)
    with away(stack, "minio"):
        said = _complaint(stack)
        began = time.monotonic()
    wait_made_anew(stack, tables)
    proof = healed(stack, began)
    assert "minio:9000" in said or "the storage went away" in said
    assert restarts(stack, "cube") == before, "it heals without a restart"
    record("E3", "MinIO is away, its emptyDir is lost", promise=EMPTYDIR_PROMISE, user_sees=said, **proof)


def test_catalog_and_storage_start_together_and_the_files_are_gone(stack: Stack, record: Record) -> None:
    """A catalog that was restarted has no metadata in memory: it says itself that a table's is not there."""
    tables = table_ids(stack)
    with away(stack, "polaris"), away(stack, "minio"):
        began = time.monotonic()
    wait_made_anew(stack, tables)
    proof = healed(stack, began)
    record("B2 files", "MinIO's emptyDir is lost, Polaris starts anew", promise=EMPTYDIR_PROMISE, **proof)


def test_database_is_lost(stack: Stack, record: Record) -> None:
    before, tables = restarts(stack, "dagster-daemon"), table_ids(stack)
    with away(stack, "postgresql"):
        said = _complaint(stack)
        refused = eventually(lambda: _refusal(stack))
        began = time.monotonic()
    wait_made_anew(stack, tables)
    proof = healed(stack, began)
    assert restarts(stack, "dagster-daemon") == before
    wait_well(stack)  # Marquez has its tables again, too
    record(
        "B2 postgresql",
        "PostgreSQL is away, its emptyDir is lost",
        promise=EMPTYDIR_PROMISE,
        user_sees=said,
        dagster_says=refused,
        **proof,
    )


def _refusal(stack: Stack) -> str:
    try:
        stack.dagster.runs(limit=1)
    except StackError as error:
        return str(error).partition("\n")[0]
    return ""
