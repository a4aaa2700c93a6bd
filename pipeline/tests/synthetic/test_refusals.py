"""Requests that cannot be met are refused before anything is made, in a line that says what would do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from floe_synthetic import EcommerceGenerator, GeneratorState

START = datetime(2025, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"orders": -1}, "orders: -1; it must be a whole number from 0"),
        ({"orders": 2.5}, "orders: 2.5; it must be a whole number"),
        ({"orders": True}, "orders: True; it must be a whole number"),
        ({"customers": "7"}, "customers: '7'; it must be a whole number"),
        ({"products": 0}, "products: 0, and there are none yet; orders need at least 1"),
        ({"customers": 0}, "customers: 0, and there are none yet; orders need at least 1"),
        ({"until": START}, r"until: 2025-01-01T00:00:00\+00:00; it must be after 2025-01-01T00:00:00\+00:00"),
        ({"until": START - DAY}, "until: 2024-12-31.*; it must be after"),
        ({"until": datetime(2025, 2, 1)}, "until: 2025-02-01T00:00:00 has no time zone"),
        ({"until": START.replace(year=9999)}, "until: 9999.*; at most 100 years after"),
        ({"max_orders_per_batch": 0}, "max_orders_per_batch: 0; it must be at least 1"),
    ],
)
def test_a_bad_request_is_named(request_, message):
    generator = EcommerceGenerator(1)
    good = {"until": START + DAY, "orders": 1, "customers": 1, "products": 1}
    with pytest.raises(ValueError, match=f"^{message}"):
        generator.batches(generator.initial_state(START), **good | request_)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "42"])
def test_a_bad_seed_is_named(seed):
    with pytest.raises(ValueError, match=r"^seed: .*; it must be a whole number from 0"):
        EcommerceGenerator(seed)


def test_a_shop_without_orders_needs_nobody():
    generator = EcommerceGenerator(1)
    batch = generator.batch(generator.initial_state(START), until=START + DAY, orders=0)
    assert all(table.num_rows == 0 for table in batch.tables().values())
    assert batch.state.until == START + DAY


def test_a_state_survives_its_json():
    state = GeneratorState(5, 4, 3, 2, START + timedelta(microseconds=1))
    assert GeneratorState.from_json(state.to_json()) == state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"orders": "3"}, "state.orders: '3'; it must be a whole number"),
        ({"until": "soon"}, "state.until: 'soon' is not an ISO 8601 time"),
        ({"until": "2025-01-01T00:00:00"}, "state.until: 2025-01-01T00:00:00 has no time zone"),
        ({"rows": 3}, r"state: has \[.*'rows'.*\]; it must have"),
    ],
)
def test_a_broken_state_is_named(change, message):
    good = GeneratorState(5, 4, 3, 2, START).to_json()
    with pytest.raises(ValueError, match=f"^{message}"):
        GeneratorState.from_json(good | change)
