"""The patterns of the report page, asked of Cube: what `floe_pipeline.report.patterns` asks of the marts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from floe_pipeline.report.answers import Answer
from floe_pipeline.report.patterns import (
    AGES,
    MAX_BASKET,
    STATUSES,
    WEEKDAYS,
    Category,
    Cohort,
    Headline,
    Month,
    Patterns,
)
from floe_stack.cube import COUNT, Cube, Query
from floe_stack.errors import StackError

TIMES: Final = 5  # that a question is asked past every cache, and from the cache
AGE_DAYS: Final = (0, 1, 2, 4, 7, 14, 28, None)  # where each of AGES begins and ends

Row = dict[str, Any]
BatchEnds = Sequence[tuple[int, datetime]]


class Questions:
    """Asks Cube, each question several times, and keeps how long the answers took.

    Attributes:
        answers: In the order in which they were asked.
    """

    def __init__(self, cube: Cube) -> None:
        self._cube = cube
        self.answers: list[Answer] = []

    def ask(self, question: str, query: Query) -> list[Row]:
        """The answer's rows.

        Raises:
            StackError: Cube does not answer, or refuses.
        """
        rows = self._cube.load(
            query
        )  # what Cube compiles once for a question is not what the others wait for
        uncached = [self._seconds(query, "no-cache") for _ in range(TIMES)]
        cached = [self._seconds(query) for _ in range(TIMES)]
        self.answers.append(
            Answer(question, [1000 * each for each in cached], [1000 * each for each in uncached], len(rows))
        )
        return rows

    def ask_once(self, query: Query) -> list[Row]:
        """The answer's rows, past every cache.

        Raises:
            StackError: As `ask`.
        """
        return self._cube.load(query, cache="no-cache")

    def _seconds(self, query: Query, cache: str | None = None) -> float:
        began = time.perf_counter()
        self._cube.load(query, cache=cache)
        return time.perf_counter() - began


def collect(questions: Questions, batch_ends: BatchEnds = ()) -> Patterns:
    """Ask for everything that the charts show.

    Args:
        questions: Who asks.
        batch_ends: As of `floe_pipeline.lake.ledger.batch_ends`.

    Raises:
        StackError: Cube does not answer, refuses, or knows no order yet.
    """
    headline, last = _headline(questions)
    return Patterns(
        headline=headline,
        pareto=_pareto(questions),
        rhythm=_rhythm(questions, headline.last_day),
        months=_months(questions),
        categories=_categories(questions),
        basket=_basket(questions),
        status_by_age=_status_by_age(questions, batch_ends, last),
        growth=_growth(questions),
        cohorts=_cohorts(questions),
    )


def _headline(questions: Questions) -> tuple[Headline, datetime]:
    (orders,) = questions.ask(
        "Totals of all orders",
        {"measures": [COUNT, *_of("Orders", "items units total_revenue net_revenue"),
                      *_of("Orders", "first_ordered_at last_ordered_at")]},
    )  # fmt: skip
    if not int(orders[COUNT] or 0):
        raise StackError("Cube knows no order yet: `make status` shows what is waited for")
    (customers,) = questions.ask(
        "Customers, buyers, repeat buyers", {"measures": _of("Customers", "count buyer_count repeat_count")}
    )
    (products,) = questions.ask("Products", {"measures": ["Products.count"]})
    first, last = (_moment(orders[f"Orders.{end}_ordered_at"]) for end in ("first", "last"))
    headline = Headline(
        orders=int(orders[COUNT]),
        lines=int(orders["Orders.items"]),
        units=int(orders["Orders.units"]),
        customers=int(customers["Customers.count"]),
        buyers=int(customers["Customers.buyer_count"]),
        repeat_buyers=int(customers["Customers.repeat_count"]),
        products=int(products["Products.count"]),
        revenue=Decimal(str(orders["Orders.total_revenue"])),
        net_revenue=Decimal(str(orders["Orders.net_revenue"])),
        first_day=first.date(),
        last_day=last.date(),
    )
    return headline, last


def _pareto(questions: Questions) -> list[tuple[float, float]]:
    rows = questions.ask(
        "Buyers by their orders",
        {"measures": ["Customers.count"], "dimensions": ["Customers.orders_placed"],
         "segments": ["Customers.buyers"], "order": {"Customers.orders_placed": "desc"}},
    )  # fmt: skip
    groups = [(int(row["Customers.orders_placed"]), int(row["Customers.count"])) for row in rows]
    buyers, orders = sum(count for _, count in groups), sum(each * count for each, count in groups)
    # Whole buyers at each whole per cent of them; those of a group have placed as many orders each.
    places = sorted({percent * buyers // 100 for percent in range(101)})
    points, passed, running = [], 0, 0
    ahead = iter(groups)
    each, left = 0, 0
    for place in places:
        while passed < place:
            if not left:
                each, left = next(ahead)
            taken = min(left, place - passed)
            passed, left, running = passed + taken, left - taken, running + each * taken
        points.append((passed / buyers, running / orders))
    return points


def _rhythm(questions: Questions, last_day: date) -> list[list[int]]:
    rows = questions.ask(
        "Orders by weekday and hour",
        {"measures": [COUNT], "dimensions": ["Orders.weekday", "Orders.hour"],
         "filters": [_by("Orders.ordered_at", "beforeDate", last_day.isoformat())]},
    )  # fmt: skip
    grid = [[0] * 24 for _ in WEEKDAYS]
    for row in rows:
        grid[int(row["Orders.weekday"]) - 1][int(row["Orders.hour"])] = int(row[COUNT])
    return grid


def _months(questions: Questions) -> list[Month]:
    rows = questions.ask(
        "Revenue by month",
        {"measures": _of("Orders", "total_revenue net_revenue days"),
         "timeDimensions": [_monthly("Orders.ordered_at")]},
    )  # fmt: skip
    return [
        Month(
            _month(row["Orders.ordered_at.month"]),
            float(row["Orders.total_revenue"]),
            float(row["Orders.net_revenue"]),
            int(row["Orders.days"]),
        )
        for row in rows
    ]


def _categories(questions: Questions) -> list[Category]:
    prices = _of(
        "Products", "lowest_price lower_quartile_price median_price upper_quartile_price highest_price"
    )
    rows = questions.ask(
        "Revenue and prices by category",
        {"measures": [*_of("Products", "total_revenue units_sold count"), *prices],
         "dimensions": ["Products.category"],
         "order": {"Products.total_revenue": "desc", "Products.category": "asc"}},
    )  # fmt: skip
    found = []
    for row in rows:
        low, lower, middle, upper, high = (float(row[name]) for name in prices)
        revenue, units, products = (
            row[f"Products.{name}"] for name in ("total_revenue", "units_sold", "count")
        )
        found.append(
            Category(
                row["Products.category"],
                float(revenue),
                int(units),
                int(products),
                (low, lower, middle, upper, high),
            )
        )
    return found


def _basket(questions: Questions) -> list[tuple[int, int]]:
    rows = questions.ask("Orders by their lines", {"measures": [COUNT], "dimensions": ["Orders.item_count"]})
    sizes: Counter[int] = Counter()
    for row in rows:
        sizes[min(int(row["Orders.item_count"]), MAX_BASKET)] += int(row[COUNT])
    return sorted(sizes.items())


def _status_by_age(questions: Questions, batch_ends: BatchEnds, last: datetime) -> list[list[int]]:
    """Ages when the batch was written. Of a batch whose window is no longer than a day none is older."""
    rows = questions.ask("Orders by status", {"measures": [COUNT], "dimensions": ["Orders.status"]})
    young = Counter({row["Orders.status"]: int(row[COUNT]) for row in rows})
    grid = [Counter[str]() for _ in AGES]
    before, begin = 0, datetime.min.replace(tzinfo=UTC)
    for upto, until in [*batch_ends, (None, last)]:
        if upto != before and until - begin > timedelta(days=1):
            for at in range(len(AGES)):
                aged = _aged(questions, (before, upto), until, at)
                grid[at] += aged
                young -= aged
        before, begin = upto or before, until
    grid[0] += young
    return [[counts[status] for status in STATUSES] for counts in grid]


def _aged(questions: Questions, ids: tuple[int, int | None], until: datetime, at: int) -> Counter[str]:
    """Orders of one batch and one age by status."""
    newest, oldest = AGE_DAYS[at], AGE_DAYS[at + 1]
    filters = [_by("Orders.id", "gt", ids[0])]
    if ids[1] is not None:
        filters.append(_by("Orders.id", "lte", ids[1]))
    if newest:
        filters.append(_by("Orders.ordered_at", "beforeOrOnDate", _text(until - timedelta(days=newest))))
    if oldest:
        filters.append(_by("Orders.ordered_at", "afterDate", _text(until - timedelta(days=oldest))))
    rows = questions.ask_once({"measures": [COUNT], "dimensions": ["Orders.status"], "filters": filters})
    return Counter({row["Orders.status"]: int(row[COUNT]) for row in rows})


def _growth(questions: Questions) -> list[tuple[date, int]]:
    rows = questions.ask(
        "Customers by month of sign-up",
        {"measures": ["Customers.count"], "timeDimensions": [_monthly("Customers.signed_up_at")]},
    )
    total, found = 0, []
    for row in rows:
        total += int(row["Customers.count"])
        found.append((_month(row["Customers.signed_up_at.month"]), total))
    return found


def _cohorts(questions: Questions) -> list[Cohort]:
    rows = questions.ask(
        "Buyers by month of their first and later orders",
        {"measures": ["Orders.customers"],
         "timeDimensions": [_monthly("Customers.first_order_at"), _monthly("Orders.ordered_at")]},
    )  # fmt: skip
    cohorts: dict[date, dict[int, int]] = {}
    for row in rows:
        first, month = (
            _month(row[f"{name}.month"]) for name in ("Customers.first_order_at", "Orders.ordered_at")
        )
        later = 12 * (month.year - first.year) + month.month - first.month
        cohorts.setdefault(first, {})[later] = int(row["Orders.customers"])
    return [
        Cohort(month, active.get(0, 0), dict(sorted(active.items())))
        for month, active in sorted(cohorts.items())
    ]


def _of(cube: str, members: str) -> list[str]:
    return [f"{cube}.{member}" for member in members.split()]


def _by(member: str, operator: str, value: object) -> Row:
    return {"member": member, "operator": operator, "values": [str(value)]}


def _monthly(dimension: str) -> Row:
    return {"dimension": dimension, "granularity": "month"}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _month(text: str) -> date:
    return date.fromisoformat(text[:10])


def _text(moment: datetime) -> str:
    """In UTC with milliseconds, all that Cube's filters know."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
