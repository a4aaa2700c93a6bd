"""What holds for every row of every seed, size and chain of batches."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_synthetic import EcommerceGenerator, patterns
from floe_synthetic.draws import Draws
from floe_synthetic.schemas import SCHEMAS

# Each query selects the rows that break one truth.
VIOLATIONS = {
    "every order has a customer": "FROM orders ANTI JOIN customers USING (customer_id)",
    "every line has an order": "FROM order_items ANTI JOIN orders USING (order_id)",
    "every line has a product": "FROM order_items ANTI JOIN products USING (product_id)",
    "every order has a line": "FROM orders ANTI JOIN order_items USING (order_id)",
    "an order's total is the sum of its lines": """
        FROM orders
        JOIN (SELECT order_id, sum(line_amount) AS lines FROM order_items GROUP BY ALL) USING (order_id)
        WHERE total_amount <> lines""",
    "a line is quantity x unit price - discount": """
        FROM order_items WHERE line_amount <> quantity * unit_price - discount_amount""",
    "the unit price is the product's": """
        FROM order_items JOIN products USING (product_id) WHERE unit_price <> price""",
    "no amount is negative, no price or quantity is zero": """
        FROM order_items WHERE least(line_amount, discount_amount) < 0 OR least(unit_price, quantity) <= 0""",
    "no order before its customer's signup": """
        FROM orders JOIN customers USING (customer_id) WHERE ordered_at < signed_up_at""",
    "no order before its product's introduction": """
        FROM order_items JOIN orders USING (order_id) JOIN products USING (product_id)
        WHERE ordered_at < introduced_at""",
    "an order is of its customer's region": """
        FROM orders JOIN customers USING (customer_id) WHERE orders.region <> customers.region""",
    "a product is on one line of an order": """
        FROM order_items GROUP BY order_id, product_id HAVING count(*) > 1""",
    "e-mail addresses are unique": "FROM customers GROUP BY email HAVING count(*) > 1",
    "SKUs are unique": "FROM products GROUP BY sku HAVING count(*) > 1",
    "later orders have higher ids": """
        FROM (SELECT ordered_at < lag(ordered_at) OVER (ORDER BY order_id) AS back FROM orders) WHERE back""",
    "later customers have higher ids": """
        FROM (SELECT signed_up_at < lag(signed_up_at) OVER (ORDER BY customer_id) AS back FROM customers)
        WHERE back""",
    "an order's lines follow each other": """
        FROM (SELECT order_id < lag(order_id) OVER (ORDER BY order_item_id) AS back FROM order_items)
        WHERE back""",
}

seeds = st.integers(0, 2**63 - 1)
requests = st.fixed_dictionaries(
    {
        "minutes": st.sampled_from([5, 60, 24 * 60, 90 * 24 * 60]) | st.integers(1, 3 * 365 * 24 * 60),
        "orders": st.integers(0, 200),
        "customers": st.integers(0, 50),
        "products": st.integers(0, 20),
    }
)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, chain=st.lists(requests, min_size=1, max_size=4))
def test_every_truth_holds_in_chained_batches(opening, sql, seed, chain):
    chain[0]["customers"] += 1  # a shop that is to sell needs somebody and something
    chain[0]["products"] += 1
    generator = EcommerceGenerator(seed)
    state = generator.initial_state(opening)
    batches = []
    for request in chain:
        until = state.until + timedelta(minutes=request["minutes"])
        asked = {name: request[name] for name in ("orders", "customers", "products")}
        batch = generator.batch(state, until=until, **asked)

        made = {name: table.num_rows for name, table in batch.tables().items()}
        assert {name: made[name] for name in asked} == asked
        for name, table in batch.tables().items():
            assert table.schema == SCHEMAS[name]
            ids = table.column(0).to_pylist()
            before = getattr(state, name)
            assert ids == list(range(before + 1, before + made[name] + 1))
            assert getattr(batch.state, name) == before + made[name]
        for name, column in (
            ("orders", "ordered_at"),
            ("customers", "signed_up_at"),
            ("products", "introduced_at"),
        ):
            times = batch.tables()[name].column(column).to_pylist()
            assert all(state.until <= time < until for time in times), (name, column)
        assert batch.state.until == until
        batches.append(batch)
        state = batch.state

    query = sql(batches)
    broken = {truth: rows for truth, sources in VIOLATIONS.items() if (rows := query(f"SELECT 1 {sources}"))}
    assert not broken


@settings(max_examples=25, deadline=None)
@given(seed=seeds, orders=st.integers(0, 2500), size=st.integers(150, 1500), customers=st.integers(1, 300))
def test_pieces_of_a_batch_are_the_batch(opening, seed, orders, size, customers):
    generator = EcommerceGenerator(seed)
    start = generator.initial_state(opening)
    request = {
        "until": opening + timedelta(days=100),
        "orders": orders,
        "customers": customers,
        "products": 12,
    }
    whole = generator.batch(start, **request)
    pieces = list(EcommerceGenerator(seed).batches(start, **request, max_orders_per_batch=size))

    assert all(piece.orders.num_rows <= size for piece in pieces)
    assert pieces[-1].state == whole.state
    for name, table in whole.tables().items():
        assert pa.concat_tables([piece.tables()[name] for piece in pieces]).equals(table), name


def test_one_can_go_on_from_the_middle_of_a_batch(opening, sql):
    generator = EcommerceGenerator(7)
    pieces = generator.batches(
        generator.initial_state(opening),
        until=opening + timedelta(days=30),
        orders=500,
        customers=40,
        products=9,
        max_orders_per_batch=100,
    )
    first = next(pieces)
    second = generator.batch(first.state, until=first.state.until + timedelta(days=1), orders=50, customers=2)
    query = sql([first, second])
    broken = {truth: rows for truth, sources in VIOLATIONS.items() if (rows := query(f"SELECT 1 {sources}"))}
    assert not broken


def test_an_order_only_ever_moves_forward_in_its_life():
    draws, ids = Draws(3), np.arange(1, 5001)
    nexts = {
        patterns.PLACED: {patterns.PAID, patterns.SHIPPED, patterns.CANCELLED},
        patterns.PAID: {patterns.SHIPPED, patterns.CANCELLED},
        patterns.SHIPPED: {patterns.DELIVERED},
        patterns.DELIVERED: {patterns.RETURNED},
        patterns.RETURNED: set(),
        patterns.CANCELLED: set(),
    }
    before = patterns.statuses(draws, ids, np.zeros_like(ids))
    for hours in range(1, 40 * 24):
        now = patterns.statuses(draws, ids, np.full_like(ids, hours * patterns.HOUR))
        moved = before != now
        steps = set(zip(before[moved].tolist(), now[moved].tolist(), strict=True))
        assert all(new in nexts[old] for old, new in steps), (hours, steps)
        before = now
    assert set(before.tolist()) == {patterns.DELIVERED, patterns.RETURNED, patterns.CANCELLED}
