"""The report's patterns asked of a real Cube are those that its queries on the marts find."""

from __future__ import annotations

from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

import pytest

from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.engine import connect
from floe_pipeline.lake.ledger import batch_ends
from floe_pipeline.lake.tables import CLAIMS
from floe_pipeline.report import patterns
from floe_stack.cube import Cube as Client
from floe_stack.patterns import TIMES, Questions, collect
from waiting import until

from .conftest import Cube, Shop

pytestmark = pytest.mark.services


@pytest.fixture
def questions(cube: Cube, shop: Shop) -> Questions:
    shop.mend()
    return Questions(Client(cube.address.url, cube.address.secret))


@pytest.mark.parametrize("known", ["all batches", "some batches", "no batch"])
def test_cube_answers_what_the_marts_hold(cube: Cube, questions: Questions, shop: Shop, known: str) -> None:
    shop.add()  # another window of a day, and the seed's of years
    ends = {"all batches": batch_ends(Lake.connect(shop.settings).load(CLAIMS)), "no batch": []}
    ends["some batches"] = [(700, datetime(2026, 2, 20, 12, 30, 5, tzinfo=UTC))]
    with connect(shop.settings) as connection:
        expected = patterns.collect(connection, ends[known])
    until(lambda: sees_all(cube, expected.headline))
    found = collect(questions, ends[known])
    assert found.headline == expected.headline
    assert found.rhythm == expected.rhythm
    assert found.basket == expected.basket
    assert found.growth == expected.growth
    assert found.cohorts == expected.cohorts
    assert found.status_by_age == expected.status_by_age
    assert sum(map(sum, found.status_by_age)) == expected.headline.orders
    assert_close(found.pareto, expected.pareto)
    assert_close(
        [astuple(month)[1:] for month in found.months], [astuple(month)[1:] for month in expected.months]
    )
    assert_close(
        [(*astuple(each)[1:4], *each.prices) for each in found.categories],
        [(*astuple(each)[1:4], *each.prices) for each in expected.categories],
    )


def sees_all(cube: Cube, headline: patterns.Headline) -> bool:
    """Whether Cube has the newest snapshot of each mart: they are published one after another."""
    units = {"Orders.units": headline.units, "Products.units_sold": headline.units}
    wanted = {"Orders.count": headline.orders, "Customers.orders": headline.orders, **units}
    return all(int(cube.load(measures=[name])[0][name]) == value for name, value in wanted.items())


def test_every_question_is_timed_in_both_ways(questions: Questions) -> None:
    rows = questions.ask("Orders", {"measures": ["Orders.count"]})
    (answer,) = questions.answers
    assert (answer.question, answer.rows) == ("Orders", len(rows))
    assert len(answer.cached) == len(answer.uncached) == TIMES
    assert 0 < min(answer.cached) < min(answer.uncached)


def assert_close(found: Any, expected: Any) -> None:
    """Money is rounded to the cent by Cube, and is a binary number in the page's own queries."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=0.0051)
