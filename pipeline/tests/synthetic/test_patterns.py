"""The shop looks like a shop: each pattern with the tolerance that its construction promises for any seed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from floe_synthetic import EcommerceGenerator, patterns
from floe_synthetic.vocabulary import CATEGORIES, COUNTRIES


def share(query, condition, table="orders"):
    ((value,),) = query(f"SELECT avg(CASE WHEN {condition} THEN 1.0 ELSE 0.0 END) FROM {table}")
    return value


def test_the_top_tenth_of_customers_places_about_half_of_all_orders(shop):
    ((top, biggest),) = shop("""
        SELECT sum(orders) FILTER (place <= 200) / sum(orders), max(orders) / sum(orders)
        FROM (SELECT count(*) AS orders, row_number() OVER (ORDER BY count(*) DESC) AS place
              FROM orders GROUP BY customer_id)""")
    assert 0.40 <= top <= 0.60
    assert biggest < 0.05


def test_the_top_tenth_stays_about_half_through_a_day_of_small_batches(opening, sql):
    generator = EcommerceGenerator(11)
    state = generator.initial_state(opening)
    batches = [
        generator.batch(state, until=opening + timedelta(days=60), orders=1_000, customers=500, products=60)
    ]
    for _ in range(288):
        state = batches[-1].state
        batches.append(
            generator.batch(state, until=state.until + timedelta(minutes=5), orders=50, customers=1)
        )
    ((top,),) = sql(batches)("""
        SELECT sum(orders) FILTER (place <= 788 // 10) / sum(orders)
        FROM (SELECT count(*) AS orders, row_number() OVER (ORDER BY count(*) DESC) AS place
              FROM orders GROUP BY customer_id)""")
    assert 0.40 <= top <= 0.60


def test_evenings_are_busy_and_nights_are_quiet(shop):
    evening = share(shop, "hour(ordered_at) BETWEEN 18 AND 22")  # 5 of 24 hours: 0.21 if all were alike
    night = share(shop, "hour(ordered_at) BETWEEN 1 AND 5")
    assert 0.37 <= evening <= 0.42
    assert 0.02 <= night <= 0.05


def test_weekends_are_busier_than_workdays(shop):
    assert 0.35 <= share(shop, "isodow(ordered_at) >= 6") <= 0.40  # 2 of 7 days: 0.29 if all were alike


def test_the_last_quarter_is_the_season_beyond_what_growth_explains(shop):
    # Orders for each customer present, by month of the second year: growth cancels out.
    rates = shop("""
        SELECT month(ordered_at), count(*) / any_value(present)
        FROM orders
        JOIN (SELECT month, (SELECT count(*) FROM customers
                             WHERE signed_up_at < make_timestamptz(2024, month, 15, 0, 0, 0)) AS present
              FROM range(1, 13) AS months(month)) ON month = month(ordered_at)
        WHERE year(ordered_at) = 2024 GROUP BY ALL ORDER BY ALL""")
    by_month = dict(rates)
    last_quarter = sum(by_month[month] for month in (10, 11, 12))
    assert 0.28 <= last_quarter / sum(by_month.values()) <= 0.38
    assert by_month[12] > 1.4 * by_month[2]


def test_the_customer_base_grows_ever_faster(shop):
    first, last = (
        share(shop, f"signed_up_at {condition}", "customers")
        for condition in ("< TIMESTAMPTZ '2023-07-01'", ">= TIMESTAMPTZ '2024-07-01'")
    )
    assert 2.5 <= last / first <= 5


def test_orders_follow_the_customers_who_are_there(shop):
    by_year = dict(shop("SELECT year(ordered_at), count(*) FROM orders GROUP BY ALL"))
    assert by_year[2024] > 2 * by_year[2023]


def test_older_cohorts_come_back_more_often(shop):
    cohorts = shop("""
        SELECT avg(CASE WHEN orders >= 2 THEN 1.0 ELSE 0.0 END)
        FROM (SELECT customer_id, signed_up_at, count(order_id) AS orders
              FROM customers LEFT JOIN orders USING (customer_id) GROUP BY ALL)
        GROUP BY date_trunc('year', signed_up_at), month(signed_up_at) > 6 ORDER BY min(signed_up_at)""")
    repeat = [rate for (rate,) in cohorts]
    assert min(repeat[:2]) > 0.98 > repeat[2] > repeat[3]
    assert 0.35 <= repeat[3] <= 0.70


def test_category_mix_of_the_catalogue_and_of_what_is_sold(shop):
    catalogue = dict(shop("SELECT category, count(*) / 200 FROM products GROUP BY ALL"))
    sold = dict(
        shop("""SELECT category, count(*) / (SELECT count(*) FROM order_items)
                FROM order_items JOIN products USING (product_id) GROUP BY ALL""")
    )
    for category, per_mille in zip(CATEGORIES, patterns.CATEGORY_MIX, strict=True):
        assert catalogue[category] == pytest.approx(per_mille / 1000, abs=0.02), category
        assert sold[category] == pytest.approx(per_mille / 1000, abs=0.05), category


def test_every_category_has_its_price_ladder(shop):
    steps = [0, 0, 0]
    for category, price in shop("SELECT category, price FROM products"):
        low, core, premium, top = patterns.PRICE_LADDER[category]
        assert low <= price < top
        assert price % 1 == Decimal("0.99")
        steps[(price >= core) + (price >= premium)] += 1
    for products, per_mille in zip(steps, patterns.PRICE_TIERS, strict=True):
        assert products / 200 == pytest.approx(per_mille / 1000, abs=0.05)


def test_cheap_products_sell_more_often_than_dear_ones(shop):
    ((cheap, dear),) = shop("""
        WITH sold AS (SELECT product_id, category, price, count(order_id) AS lines
                      FROM products LEFT JOIN order_items USING (product_id) GROUP BY ALL),
             ranked AS (SELECT lines, percent_rank() OVER (PARTITION BY category ORDER BY price) AS rank
                        FROM sold)
        SELECT avg(lines) FILTER (rank < 0.5), avg(lines) FILTER (rank > 0.85) FROM ranked""")
    assert cheap > 1.5 * dear


def test_baskets_are_small_with_a_tail(shop):
    ((mean, singles, biggest, pieces),) = shop("""
        SELECT avg(lines), avg(CASE WHEN lines = 1 THEN 1.0 ELSE 0.0 END), max(lines), avg(units / lines)
        FROM (SELECT count(*) AS lines, sum(quantity) AS units FROM order_items GROUP BY order_id)""")
    assert 2.0 <= mean <= 2.15
    assert 0.42 <= singles <= 0.48
    assert biggest == 6
    assert 1.25 <= pieces <= 1.4


def test_about_a_fifth_of_orders_uses_a_coupon(shop):
    used = dict(
        shop("""
        SELECT coupon, count(*) / 20000
        FROM (SELECT CAST(round(100 * sum(discount_amount) / sum(quantity * unit_price)) AS INTEGER) AS coupon
              FROM order_items GROUP BY order_id)
        GROUP BY ALL""")
    )
    assert set(used) == set(patterns.COUPONS)
    for percent, per_mille in patterns.COUPONS.items():
        assert used[percent] == pytest.approx(per_mille / 1000, abs=0.015)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        ("< INTERVAL 10 MINUTE", {"placed", "paid"}),
        ("BETWEEN INTERVAL 30 MINUTE AND INTERVAL 12 HOUR", {"paid", "cancelled"}),
        ("BETWEEN INTERVAL 12 HOUR AND INTERVAL 3 DAY", {"paid", "shipped", "cancelled"}),
        ("BETWEEN INTERVAL 3 DAY AND INTERVAL 6 DAY", {"shipped", "delivered", "cancelled"}),
        ("> INTERVAL 30 DAY", {"delivered", "returned", "cancelled"}),
    ],
)
def test_an_orders_status_goes_with_its_age(opening, sql, age, expected):
    generator = EcommerceGenerator(5)
    old = generator.batch(
        generator.initial_state(opening),
        until=opening + timedelta(days=60),
        orders=30_000,
        customers=500,
        products=50,
    )
    query = sql([old])
    rows = dict(
        query(f"""SELECT status, count(*) FROM orders
                  WHERE TIMESTAMPTZ '2023-03-02' - ordered_at {age} GROUP BY ALL""")
    )
    assert set(rows) <= expected
    if age.startswith(">"):
        total = sum(rows.values())
        assert rows["returned"] / total == pytest.approx(0.07, abs=0.01)
        assert rows["cancelled"] / total == pytest.approx(0.04, abs=0.01)


def test_customers_live_where_the_shop_sells(shop):
    lives = dict(shop("SELECT country, count(*) / 2000 FROM customers GROUP BY ALL"))
    for country in COUNTRIES:
        assert lives[country.name] == pytest.approx(country.share / 1000, abs=0.035)
