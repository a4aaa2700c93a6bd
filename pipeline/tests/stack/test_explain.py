"""Which run made an order, told by the rows after each append."""

from __future__ import annotations

import pytest

from floe_stack.dagster import Written
from floe_stack.explain import maker_of


def appends(**rows: int) -> list[Written]:
    """Appends by run, the newest first."""
    return [Written(run, 0, {"dagster/row_count": str(count)}) for run, count in rows.items()]


@pytest.mark.parametrize(
    ("order", "run"),
    [(1, "seed"), (10_000, "seed"), (10_001, "first"), (10_150, "second"), (10_300, "third")],
)
def test_an_order_leads_to_the_append_that_brought_it(order: int, run: str) -> None:
    made = maker_of(order, appends(third=10_300, second=10_200, first=10_100, seed=10_000))
    assert made
    assert made.run_id == run


def test_what_was_appended_before_the_tables_were_emptied_is_not_taken() -> None:
    made = maker_of(500, appends(new=10_000, old=11_000, oldest=10_900))
    assert made
    assert made.run_id == "new"


def test_an_order_that_no_append_reached_has_no_maker() -> None:
    assert maker_of(10_001, appends(seed=10_000)) is None
    assert maker_of(1, []) is None
