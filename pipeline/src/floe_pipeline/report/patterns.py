"""What the charts show: the marts' patterns, each read by one aggregating query, so size never matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal

import duckdb

STATUSES = ("placed", "paid", "shipped", "delivered", "returned", "cancelled")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
AGES = ("< 1 day", "1-2 days", "2-4 days", "4-7 days", "1-2 weeks", "2-4 weeks", "older")
MAX_BASKET = 10  # orders with more items than this share the last bar


@dataclass(frozen=True)
class Headline:
    """The lake in a few numbers; `net_revenue` leaves out the cancelled and returned orders of `revenue`."""

    orders: int
    lines: int
    units: int
    customers: int
    buyers: int
    repeat_buyers: int
    products: int
    revenue: Decimal
    net_revenue: Decimal
    first_day: date
    last_day: date


@dataclass(frozen=True)
class Month:
    """One calendar month (UTC): revenue of all orders, of kept orders, and the days that had any."""

    month: date
    revenue: float
    net_revenue: float
    days: int


@dataclass(frozen=True)
class Category:
    """One product category: what it sold, and its prices as minimum, quartiles and maximum."""

    name: str
    revenue: float
    units: int
    products: int
    prices: tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Cohort:
    """Customers whose first order fell in `month`: `active[k]` of them ordered in the k-th month after it."""

    month: date
    size: int
    active: dict[int, int]


@dataclass(frozen=True)
class Patterns:
    """Everything the charts need.

    Attributes:
        headline: The big numbers.
        pareto: Points (share of buyers, share of orders), both 0..1, buyers with most orders first.
        rhythm: Orders of whole days by [weekday Monday=0][hour 0..23], UTC.
        months: In order of time, without gaps only if every month sold something.
        categories: By falling revenue.
        basket: (items in the order, orders); the last entry gathers `MAX_BASKET` and more.
        status_by_age: For each of `AGES`, orders by each of `STATUSES`; age when the batch was written.
        growth: (month, customers that had signed up by its end).
        cohorts: In order of time.
    """

    headline: Headline
    pareto: list[tuple[float, float]]
    rhythm: list[list[int]]
    months: list[Month]
    categories: list[Category]
    basket: list[tuple[int, int]]
    status_by_age: list[list[int]]
    growth: list[tuple[date, int]]
    cohorts: list[Cohort]


def collect(
    connection: duckdb.DuckDBPyConnection, batch_ends: Sequence[tuple[int, datetime]] = ()
) -> Patterns:
    """Read the patterns from the marts of the attached database `lake`.

    Args:
        connection: DuckDB with the lake attached as `lake`.
        batch_ends: (last order id, time the batch was made for) of known batches, in order. An order's status
            is as of its batch, so its age is too; without any, age counts to the last order.

    Returns:
        Aggregates only: a few hundred numbers whatever the lake's size.

    Raises:
        LookupError: The marts hold no order yet.
    """
    headline = _headline(connection)
    return Patterns(
        headline=headline,
        pareto=_pareto(connection),
        rhythm=_rhythm(connection),
        months=_months(connection),
        categories=_categories(connection),
        basket=_basket(connection),
        status_by_age=_status_by_age(connection, batch_ends),
        growth=_growth(connection),
        cohorts=_cohorts(connection),
    )


def _headline(connection: duckdb.DuckDBPyConnection) -> Headline:
    row = connection.execute("""
        WITH o AS (
            SELECT count(*) AS orders, sum(item_count) AS lines, sum(units) AS units,
                   sum(total_amount) AS revenue,
                   coalesce(sum(total_amount) FILTER (status NOT IN ('cancelled', 'returned')), 0) AS net,
                   min(order_date) AS first_day, max(order_date) AS last_day
            FROM lake.gold.orders
        ), c AS (
            SELECT count(*) AS customers, count(*) FILTER (orders > 0) AS buyers,
                   count(*) FILTER (is_repeat) AS repeat_buyers
            FROM lake.gold.customers
        ), p AS (SELECT count(*) AS products FROM lake.gold.products)
        SELECT orders, lines, units, customers, buyers, repeat_buyers, products, revenue, net,
               first_day, last_day
        FROM o, c, p
    """).fetchone()
    if row is None or not row[0]:
        raise LookupError(
            "gold.orders is empty: run `floe demo`, or `floe generate` and `floe transform`, first"
        )
    names = (field.name for field in fields(Headline))
    return Headline(**dict(zip(names, row, strict=True)))


def _pareto(connection: duckdb.DuckDBPyConnection) -> list[tuple[float, float]]:
    """The running share of orders at each whole per cent of buyers: 101 points at most."""
    rows = connection.execute("""
        WITH ranked AS (
            SELECT row_number() OVER by_orders AS place, sum(orders) OVER by_orders AS running,
                   count(*) OVER () AS buyers, sum(orders) OVER () AS total
            FROM lake.gold.customers WHERE orders > 0
            WINDOW by_orders AS (ORDER BY orders DESC, customer_id)
        )
        SELECT max(place) / any_value(buyers), max(running) / any_value(total)
        FROM ranked GROUP BY ceil(100.0 * place / buyers) ORDER BY 1
    """).fetchall()
    return [(0.0, 0.0), *((float(buyers), float(orders)) for buyers, orders in rows)]


def _rhythm(connection: duckdb.DuckDBPyConnection) -> list[list[int]]:
    # Of whole days only: the day that is not over yet has the hours of the last cycles and no others.
    grid = [[0] * 24 for _ in WEEKDAYS]
    rows = connection.execute("""
        SELECT isodow(moment), hour(moment), count(*)
        FROM (SELECT ordered_at AT TIME ZONE 'UTC' AS moment, order_date FROM lake.gold.orders)
        WHERE order_date < (SELECT max(order_date) FROM lake.gold.orders) GROUP BY ALL
    """).fetchall()
    for weekday, hour, orders in rows:
        grid[weekday - 1][hour] = orders
    return grid


def _months(connection: duckdb.DuckDBPyConnection) -> list[Month]:
    rows = connection.execute("""
        SELECT date_trunc('month', order_date)::DATE, sum(revenue)::DOUBLE, sum(net_revenue)::DOUBLE,
               count(DISTINCT order_date)
        FROM lake.gold.daily_revenue GROUP BY 1 ORDER BY 1
    """).fetchall()
    return [Month(*row) for row in rows]


def _categories(connection: duckdb.DuckDBPyConnection) -> list[Category]:
    rows = connection.execute("""
        SELECT category, sum(total_revenue)::DOUBLE AS revenue, sum(units_sold)::BIGINT, count(*),
               quantile_cont(price::DOUBLE, [0, 0.25, 0.5, 0.75, 1])
        FROM lake.gold.products GROUP BY 1 ORDER BY revenue DESC, 1
    """).fetchall()
    return [
        Category(name, revenue, units, products, tuple(prices))
        for name, revenue, units, products, prices in rows
    ]


def _basket(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, int]]:
    return connection.execute(
        "SELECT least(item_count, ?)::INT AS items, count(*) FROM lake.gold.orders GROUP BY 1 ORDER BY 1",
        [MAX_BASKET],
    ).fetchall()


def _status_by_age(
    connection: duckdb.DuckDBPyConnection, batch_ends: Sequence[tuple[int, datetime]]
) -> list[list[int]]:
    # Ages by whole microseconds: the difference of zoned times asks a calendar, a hundred times slower.
    # Orders after the last known batch (none known at all included) count to the last order there is.
    batches = " ".join("WHEN order_id <= ? THEN ?::TIMESTAMPTZ" for _ in batch_ends)
    last = "(SELECT max(ordered_at) FROM lake.gold.orders)"
    rows = connection.execute(
        f"""
        WITH aged AS (
            SELECT status, (epoch_us(CASE {batches} WHEN true THEN {last} END) - epoch_us(ordered_at)) / 864e8
                   AS days
            FROM lake.gold.orders
        )
        SELECT CASE WHEN days < 1 THEN 0 WHEN days < 2 THEN 1 WHEN days < 4 THEN 2 WHEN days < 7 THEN 3
                    WHEN days < 14 THEN 4 WHEN days < 28 THEN 5 ELSE 6 END AS age, status, count(*)
        FROM aged GROUP BY ALL
        """,
        [value for batch in batch_ends for value in batch],
    ).fetchall()
    grid = [[0] * len(STATUSES) for _ in AGES]
    for age, status, orders in rows:
        grid[age][STATUSES.index(status)] = orders
    return grid


def _growth(connection: duckdb.DuckDBPyConnection) -> list[tuple[date, int]]:
    return connection.execute("""
        SELECT month, sum(joined) OVER (ORDER BY month)::BIGINT FROM (
            SELECT date_trunc('month', signed_up_at AT TIME ZONE 'UTC')::DATE AS month, count(*) AS joined
            FROM lake.gold.customers GROUP BY 1
        ) ORDER BY 1
    """).fetchall()


def _cohorts(connection: duckdb.DuckDBPyConnection) -> list[Cohort]:
    rows = connection.execute("""
        WITH firsts AS (
            SELECT customer_id, date_trunc('month', first_order_at AT TIME ZONE 'UTC')::DATE AS cohort
            FROM lake.gold.customers WHERE orders > 0
        ), active AS (
            SELECT DISTINCT customer_id, date_trunc('month', order_date)::DATE AS month
            FROM lake.gold.orders
        )
        SELECT cohort, date_diff('month', cohort, month) AS later, count(*)
        FROM firsts JOIN active USING (customer_id) GROUP BY ALL ORDER BY ALL
    """).fetchall()
    cohorts: dict[date, dict[int, int]] = {}
    for cohort, later, customers in rows:
        cohorts.setdefault(cohort, {})[later] = customers
    return [Cohort(month, active.get(0, 0), active) for month, active in cohorts.items()]
