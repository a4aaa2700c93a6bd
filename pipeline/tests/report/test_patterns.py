"""The numbers behind the charts, on a lake whose every row is known."""

from datetime import UTC, date, datetime

import duckdb
import pytest

from floe_pipeline.report.patterns import AGES, STATUSES, collect
from floe_pipeline.report.sales_charts import _season


@pytest.fixture(scope="module")
def patterns(marts):
    return collect(marts)


def test_headline_counts_every_order(patterns, marts):
    headline = patterns.headline
    assert (headline.orders, headline.customers, headline.products) == (6000, 330, 60)
    assert headline.lines == marts.execute("SELECT sum(item_count) FROM lake.gold.orders").fetchone()[0]
    assert headline.net_revenue < headline.revenue


def test_pareto_runs_from_nothing_to_everything_without_falling(patterns):
    buyers, orders = zip(*patterns.pareto, strict=True)
    assert patterns.pareto[0] == (0.0, 0.0)
    assert patterns.pareto[-1] == (1.0, 1.0)
    assert list(orders) == sorted(orders)
    assert all(order >= buyer - 1e-9 for buyer, order in patterns.pareto)  # never below equality
    assert len(patterns.pareto) <= 102
    assert list(buyers) == sorted(buyers)


def test_rhythm_holds_all_orders_but_those_of_the_last_day(patterns, marts):
    last_day = marts.execute("""
        SELECT count(*) FROM lake.gold.orders
        WHERE order_date = (SELECT max(order_date) FROM lake.gold.orders)
    """).fetchone()[0]
    assert last_day > 0
    assert sum(map(sum, patterns.rhythm)) == 6000 - last_day


def test_months_baskets_and_statuses_each_add_up_to_the_whole(patterns):
    assert sum(month.revenue for month in patterns.months) == pytest.approx(float(patterns.headline.revenue))
    assert sum(count for _, count in patterns.basket) == 6000
    assert sum(map(sum, patterns.status_by_age)) == 6000
    assert patterns.growth[-1][1] == 330


def test_age_is_as_of_the_batch_that_wrote_the_order(marts):
    oldest, last = marts.execute("SELECT min(ordered_at), max(order_id) FROM lake.gold.orders").fetchone()
    # Had all orders been written at the moment of the first one, none would be a day old.
    young = collect(marts, [(last, oldest)]).status_by_age
    assert sum(young[0]) == 6000
    old = collect(marts, [(last, datetime(2030, 1, 1, tzinfo=UTC))]).status_by_age
    assert sum(old[AGES.index("older")]) == 6000
    # Known batches end before the last orders: these count to the last order, the others to their batch.
    some = collect(marts, [(5990, datetime(2030, 1, 1, tzinfo=UTC))]).status_by_age
    assert sum(some[0]) + sum(some[1]) == 10
    assert some[0][STATUSES.index("placed")] > 0


def test_a_cohort_is_whole_in_its_own_month(patterns):
    first = patterns.cohorts[0]
    assert first.month == date(2024, 1, 1)
    assert first.active[0] == first.size
    assert sum(cohort.size for cohort in patterns.cohorts) == patterns.headline.buyers


def test_season_compares_a_fourth_quarter_with_its_neighbours(patterns):
    season = _season(patterns.months)
    assert season == pytest.approx(1.0, abs=0.15)  # the hand-made lake has none
    assert _season(patterns.months[:12]) is None  # no whole quarter after the fourth


def test_empty_marts_are_refused_with_the_way_out():
    with duckdb.connect() as connection:
        connection.execute("""
            ATTACH ':memory:' AS lake; CREATE SCHEMA lake.gold;
            CREATE TABLE lake.gold.orders (item_count INT, units INT, total_amount DECIMAL(18, 2),
                                           status VARCHAR, order_date DATE);
            CREATE TABLE lake.gold.customers (orders INT, is_repeat BOOLEAN);
            CREATE TABLE lake.gold.products (product_id INT);
        """)
        with pytest.raises(LookupError, match="run `floe demo`"):
            collect(connection)
