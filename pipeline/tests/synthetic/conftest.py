"""Batches of the generator, and SQL over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from floe_synthetic import Batch, EcommerceGenerator

OPENING = datetime(2023, 1, 1, tzinfo=UTC)
TODAY = datetime(2025, 1, 1, tzinfo=UTC)

Query = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def opening() -> datetime:
    """When every shop in these tests opens: a Sunday, two full years before `shop` ends."""
    return OPENING


@pytest.fixture(scope="session")
def sql() -> Callable[[Sequence[Batch]], Query]:
    """A function that answers SQL over the tables customers, products, orders, order_items of batches."""

    def over(batches: Sequence[Batch]) -> Query:
        connection = duckdb.connect(config={"threads": 1})
        connection.execute("SET TimeZone = 'UTC'")
        for name in batches[0].tables():
            connection.register(name, pa.concat_tables([batch.tables()[name] for batch in batches]))
        return lambda query: connection.execute(query).fetchall()

    return over


@pytest.fixture(scope="session", params=[1, 42, 2**63 - 1])
def shop(request: pytest.FixtureRequest, sql: Callable[[Sequence[Batch]], Query]) -> Query:
    """SQL over two years of a shop with 2,000 customers, 200 products and 20,000 orders; three seeds."""
    generator = EcommerceGenerator(request.param)
    state = generator.initial_state(OPENING)
    return sql([generator.batch(state, until=TODAY, orders=20_000, customers=2_000, products=200)])
