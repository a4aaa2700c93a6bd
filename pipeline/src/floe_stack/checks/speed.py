"""SC-003: how fast Cube answers, from its cache and past every cache."""

from __future__ import annotations

import random
import time
from datetime import date, timedelta
from typing import Any, Final

from floe_stack.checks.finding import Finding, Question, within
from floe_stack.cube import COUNT, Query
from floe_stack.errors import StackError
from floe_stack.measure import machine, percentile, spread
from floe_stack.stack import Stack

QUERIES: Final = 200
PROMISE, CACHED_OURS, UNCACHED_OURS = 100, 8, 20
MEASURES: Final = (COUNT, "Orders.total_revenue")
TIME: Final = "Orders.ordered_at"


def distinct_queries(count: int, first: date, last: date, chance: random.Random) -> list[Query]:
    """Questions that no two share and nobody asked before: revenue by status in a window of days.

    Args:
        count: How many.
        first: First day that has data.
        last: Last one.
        chance: Where windows come from.

    Raises:
        ValueError: So few days have fewer windows.
    """
    days = (last - first).days + 1
    windows = days * (days - 1) // 2
    if windows < count:
        raise ValueError(f"{days} days have {windows} windows, not {count}")
    chosen: set[tuple[int, int]] = set()
    while len(chosen) < count:
        begin, end = sorted(chance.sample(range(days), 2))
        chosen.add((begin, end))
    return [
        {
            "measures": list(MEASURES),
            "dimensions": ["Orders.status"],
            "timeDimensions": [
                {
                    "dimension": TIME,
                    "dateRange": [
                        (first + timedelta(days=begin)).isoformat(),
                        (first + timedelta(days=end)).isoformat(),
                    ],
                }
            ],
        }
        for begin, end in sorted(chosen, key=lambda _: chance.random())
    ]


def _timed(stack: Stack, query: Query) -> float:
    """Milliseconds until the answer is here."""
    began = time.perf_counter()
    stack.cube.load(query)
    return (time.perf_counter() - began) * 1000


def _span_of_days(stack: Stack) -> tuple[date, date]:
    (row,) = stack.cube.load({"measures": ["Orders.first_ordered_at", "Orders.last_ordered_at"]})
    first, last = (str(row[name] or "") for name in ("Orders.first_ordered_at", "Orders.last_ordered_at"))
    if not first:
        raise StackError("there are no orders to ask about: make generate")
    return date.fromisoformat(first[:10]), date.fromisoformat(last[:10])


def _answers(stack: Stack) -> list[Finding]:
    """Through a port-forward, which costs a part of it: that part is measured, too, and told."""
    first, last = _span_of_days(stack)
    # A new seed each time: a second look must not meet what the first one left in a cache.
    queries = distinct_queries(QUERIES, first, last, random.Random(time.time_ns()))  # noqa: S311  # no secret
    repeated: Query = {"measures": list(MEASURES)}
    stack.dagster.wait_quiet()  # a run on the same cores would be measured instead
    stack.say(f"{QUERIES} cached questions")
    _timed(stack, repeated)
    cached = [_timed(stack, repeated) for _ in range(QUERIES)]
    stack.say(f"{QUERIES} questions that nobody asked before")
    uncached = [_timed(stack, query) for query in queries]
    evidence: dict[str, Any] = {
        "orders": stack.cube.number(COUNT),
        "forward_ms": spread(_forward(stack)),
        "machine": machine(),
    }
    findings = []
    for name, measured, ours in (("cached", cached, CACHED_OURS), ("uncached", uncached, UNCACHED_OURS)):
        p50, p95 = percentile(measured, 50), percentile(measured, 95)
        seen = f"{QUERIES} {name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, {evidence['machine']}"
        findings.append(
            within(p95, promise=PROMISE, ours=ours, unit="ms", seen=seen, ms=spread(measured), **evidence)
        )
    return findings


def _forward(stack: Stack) -> list[float]:
    """Milliseconds of a request that Cube answers without doing anything: what the way to it takes."""
    times = []
    for _ in range(50):
        began = time.perf_counter()
        stack.cube.http.get("/")
        times.append((time.perf_counter() - began) * 1000)
    return times


QUESTIONS: Final = (
    Question(
        {
            "SC-003": "Cube answers within 100 ms at p95, from its cache",
            "SC-003.uncached": "Cube answers within 100 ms at p95, questions that no cache holds",
        },
        _answers,
    ),
)
