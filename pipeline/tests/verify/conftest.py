"""A tiny lake in plain DuckDB, right in every cent, that a test may damage."""

import duckdb
import pytest

from floe_pipeline.lake.catalog import TableTotals

LAKE = """
ATTACH ':memory:' AS lake;
CREATE SCHEMA lake.bronze;
CREATE SCHEMA lake.gold;
CREATE TABLE lake.bronze.customers AS
SELECT i AS customer_id, 'c' || i || '@example.com' AS email, ['north', 'south'][1 + i % 2] AS region,
       TIMESTAMPTZ '2025-01-01 00:00:00+00' AS signed_up_at
FROM range(1, 11) AS t(i);
CREATE TABLE lake.bronze.products AS
SELECT i AS product_id, 'S' || i AS sku, (i * 3 + 0.99)::DECIMAL(18, 2) AS price,
       TIMESTAMPTZ '2025-01-01 00:00:00+00' AS introduced_at
FROM range(1, 6) AS t(i);
CREATE TABLE lake.bronze.order_items AS
SELECT i AS order_item_id, 1 + (i - 1) // 2 AS order_id, 1 + i % 5 AS product_id,
       (1 + i % 3)::INT AS quantity, price AS unit_price, 0.50::DECIMAL(18, 2) AS discount_amount,
       ((1 + i % 3) * price - 0.50)::DECIMAL(18, 2) AS line_amount
FROM range(1, 81) AS t(i) JOIN lake.bronze.products ON product_id = 1 + i % 5;
CREATE TABLE lake.bronze.orders AS
SELECT order_id, 1 + order_id % 9 AS customer_id, ['north', 'south'][1 + (1 + order_id % 9) % 2] AS region,
       ['delivered', 'returned', 'placed'][1 + order_id % 3] AS status,
       TIMESTAMPTZ '2025-02-01 00:00:00+00' + to_hours((order_id * 7)::INT) AS ordered_at,
       sum(line_amount)::DECIMAL(18, 2) AS total_amount
FROM lake.bronze.order_items GROUP BY order_id;
CREATE TABLE lake.gold.orders AS
SELECT order_id, customer_id, region, status, ordered_at,
       (ordered_at AT TIME ZONE 'UTC')::DATE AS order_date, count(*) AS item_count, sum(quantity) AS units,
       sum(quantity * unit_price)::DECIMAL(18, 2) AS gross_amount,
       sum(discount_amount)::DECIMAL(18, 2) AS discount_amount, any_value(total_amount) AS total_amount
FROM lake.bronze.orders JOIN lake.bronze.order_items USING (order_id) GROUP BY ALL;
CREATE TABLE lake.gold.customers AS
SELECT customer_id, min(ordered_at) AS first_order_at, max(ordered_at) AS last_order_at,
       count(order_id) AS orders, coalesce(sum(total_amount), 0)::DECIMAL(18, 2) AS total_revenue,
       count(order_id) > 1 AS is_repeat
FROM lake.bronze.customers LEFT JOIN lake.bronze.orders USING (customer_id) GROUP BY ALL;
CREATE TABLE lake.gold.products AS
SELECT product_id, any_value(price) AS price, count(DISTINCT order_id) AS orders, sum(quantity) AS units_sold,
       sum(line_amount)::DECIMAL(18, 2) AS total_revenue
FROM lake.bronze.products LEFT JOIN lake.bronze.order_items USING (product_id) GROUP BY product_id;
CREATE TABLE lake.gold.daily_revenue AS
SELECT order_date, region, count(*) AS orders, sum(total_amount) AS revenue,
       coalesce(sum(total_amount) FILTER (status NOT IN ('cancelled', 'returned')), 0) AS net_revenue
FROM lake.gold.orders GROUP BY ALL;
"""


@pytest.fixture
def lake():
    with duckdb.connect() as connection:
        connection.execute(LAKE)
        yield connection


@pytest.fixture
def ledger(lake):
    money = {"customers": "0", "products": "price", "orders": "total_amount", "order_items": "line_amount"}
    counted = {
        table: lake.execute(
            f"SELECT count(*), (100 * sum({column}))::BIGINT FROM lake.bronze.{table}"
        ).fetchone()
        for table, column in money.items()
    }
    return {table: TableTotals(rows=rows, cents=cents) for table, (rows, cents) in counted.items()}
