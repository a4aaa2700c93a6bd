"""Rules that the rows themselves must keep: money, keys, uniqueness, time, marts equal to bronze."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import duckdb

from floe_pipeline.verify.evidence import Check


@dataclass(frozen=True)
class Rule:
    """One promise about rows: each statement counts the rows that break it.

    Attributes:
        id: The check's id.
        title: The promise.
        needs: Tables that are looked at.
        violations: What is wrong with a row, and a query that counts such rows.
    """

    id: str
    title: str
    needs: tuple[str, ...]
    violations: dict[str, str]


RULES: Final = (
    Rule(
        "B1.money",
        "A line is quantity x price - discount, a total the sum of its lines",
        ("bronze.order_items", "bronze.products", "bronze.orders"),
        {
            "bronze.order_items: lines that are not quantity x unit price - discount": """
                SELECT count(*) FROM lake.bronze.order_items
                WHERE line_amount <> quantity * unit_price - discount_amount""",
            "bronze.order_items: lines with a quantity below 1 or an amount below 0": """
                SELECT count(*) FROM lake.bronze.order_items
                WHERE quantity < 1 OR least(unit_price, discount_amount, line_amount) < 0""",
            "bronze.order_items: lines whose unit price is not the product's": """
                SELECT count(*) FROM lake.bronze.order_items JOIN lake.bronze.products USING (product_id)
                WHERE unit_price <> price""",
            "bronze.orders: orders whose total is not the sum of their lines": """
                SELECT count(*) FROM lake.bronze.orders FULL JOIN (
                    SELECT order_id, sum(line_amount) AS lines FROM lake.bronze.order_items GROUP BY 1
                ) USING (order_id) WHERE total_amount IS DISTINCT FROM lines""",
        },
    ),
    Rule(
        "B1.keys",
        "Every foreign key finds its row, every order has a line",
        ("bronze.order_items", "bronze.products", "bronze.orders", "bronze.customers"),
        {
            "bronze.order_items: lines without their order": """
                SELECT count(*) FROM lake.bronze.order_items ANTI JOIN lake.bronze.orders USING (order_id)""",
            "bronze.order_items: lines without their product": """
                SELECT count(*) FROM lake.bronze.order_items
                ANTI JOIN lake.bronze.products USING (product_id)""",
            "bronze.orders: orders without a line": """
                SELECT count(*) FROM lake.bronze.orders ANTI JOIN lake.bronze.order_items USING (order_id)""",
            "bronze.orders: orders without their customer, or in another region": """
                SELECT count(*) FROM lake.bronze.orders
                ANTI JOIN lake.bronze.customers USING (customer_id, region)""",
        },
    ),
    Rule(
        "B1.unique",
        "Ids run from 1 without gap or double; e-mails and SKUs are unique",
        ("bronze.order_items", "bronze.products", "bronze.orders", "bronze.customers"),
        {
            **{
                f"bronze.{table}: ids missing, double or out of range": f"""
                    SELECT count(*) - count(DISTINCT {key}) + greatest(max({key}) - count(DISTINCT {key}), 0)
                           + count(*) FILTER ({key} < 1) FROM lake.bronze.{table}"""
                for table, key in (
                    ("customers", "customer_id"),
                    ("products", "product_id"),
                    ("orders", "order_id"),
                    ("order_items", "order_item_id"),
                )
            },
            "bronze.customers: e-mail addresses used twice": """
                SELECT count(*) - count(DISTINCT lower(email)) FROM lake.bronze.customers""",
            "bronze.products: SKUs used twice": """
                SELECT count(*) - count(DISTINCT sku) FROM lake.bronze.products""",
        },
    ),
    Rule(
        "B1.time",
        "No order before its customer's signup or its products' introduction, none in the future",
        ("bronze.order_items", "bronze.products", "bronze.orders", "bronze.customers"),
        {
            "bronze.orders: orders before their customer signed up": """
                SELECT count(*) FROM lake.bronze.orders JOIN lake.bronze.customers USING (customer_id)
                WHERE ordered_at < signed_up_at""",
            "bronze.orders: orders of a product before its introduction": """
                SELECT count(*) FROM lake.bronze.order_items
                JOIN lake.bronze.orders USING (order_id) JOIN lake.bronze.products USING (product_id)
                WHERE ordered_at < introduced_at""",
            "bronze.orders: orders in the future": """
                SELECT count(*) FROM lake.bronze.orders WHERE ordered_at > now()""",
        },
    ),
    Rule(
        "B1.marts",
        "Every row of every mart equals what bronze gives when computed anew",
        ("bronze.order_items", "bronze.orders", "gold.orders", "gold.customers", "gold.products",
         "gold.daily_revenue"),
        {
            "gold.orders: rows that differ from bronze": """
                SELECT count(*) FROM (
                    SELECT order_id, o.customer_id, o.region, o.status, o.ordered_at,
                           (o.ordered_at AT TIME ZONE 'UTC')::DATE AS order_date,
                           i.item_count, i.units, i.gross, i.discount, o.total_amount
                    FROM lake.bronze.orders AS o JOIN (
                        SELECT order_id, count(*) AS item_count, sum(quantity) AS units,
                               sum(quantity * unit_price) AS gross, sum(discount_amount) AS discount
                        FROM lake.bronze.order_items GROUP BY 1
                    ) AS i USING (order_id)
                ) AS b FULL JOIN lake.gold.orders AS g USING (order_id)
                WHERE (b.customer_id, b.region, b.status, b.ordered_at, b.order_date, b.item_count, b.units,
                       b.gross, b.discount, b.total_amount)
                    IS DISTINCT FROM
                      (g.customer_id, g.region, g.status, g.ordered_at, g.order_date, g.item_count, g.units,
                       g.gross_amount, g.discount_amount, g.total_amount)""",
            "gold.customers: rows that differ from bronze": """
                SELECT count(*) FROM (
                    SELECT customer_id, count(order_id) AS orders, coalesce(sum(total_amount), 0) AS revenue,
                           min(ordered_at) AS first_at, max(ordered_at) AS last_at
                    FROM lake.bronze.customers LEFT JOIN lake.bronze.orders USING (customer_id) GROUP BY 1
                ) AS b FULL JOIN lake.gold.customers AS g USING (customer_id)
                WHERE (b.orders, b.revenue, b.first_at, b.last_at, b.orders > 1) IS DISTINCT FROM
                      (g.orders, g.total_revenue, g.first_order_at, g.last_order_at, g.is_repeat)""",
            "gold.products: rows that differ from bronze": """
                SELECT count(*) FROM (
                    SELECT product_id, count(DISTINCT order_id) AS orders,
                           coalesce(sum(quantity), 0) AS units, coalesce(sum(line_amount), 0) AS revenue
                    FROM lake.bronze.products LEFT JOIN lake.bronze.order_items USING (product_id) GROUP BY 1
                ) AS b FULL JOIN lake.gold.products AS g USING (product_id)
                WHERE (b.orders, b.units, b.revenue) IS DISTINCT FROM
                      (g.orders, g.units_sold, g.total_revenue)""",
            "gold.daily_revenue: rows that differ from bronze": """
                SELECT count(*) FROM (
                    SELECT (ordered_at AT TIME ZONE 'UTC')::DATE AS order_date, region, count(*) AS orders,
                           sum(total_amount) AS revenue,
                           coalesce(sum(total_amount) FILTER (status NOT IN ('cancelled', 'returned')), 0)
                               AS net_revenue
                    FROM lake.bronze.orders GROUP BY ALL
                ) AS b FULL JOIN lake.gold.daily_revenue AS g USING (order_date, region)
                WHERE (b.orders, b.revenue, b.net_revenue) IS DISTINCT FROM
                      (g.orders, g.revenue, g.net_revenue)""",
        },
    ),
)  # fmt: skip


def check_rules(connection: duckdb.DuckDBPyConnection) -> list[Check]:
    """Count the rows that break each rule.

    Args:
        connection: DuckDB with the lake attached as `lake`.

    Returns:
        A check for each rule; a table that is missing fails the rules that need it.
    """
    return [_check(connection, rule) for rule in RULES]


def _check(connection: duckdb.DuckDBPyConnection, rule: Rule) -> Check:
    began = time.perf_counter()
    broken: dict[str, int] = {}
    differences: list[str] = []
    try:
        for wrong, query in rule.violations.items():
            row = connection.execute(query).fetchone()
            assert row is not None
            broken[wrong] = int(row[0] or 0)  # an empty table has no maximum, and breaks nothing
    except duckdb.CatalogException as error:
        differences.append(f"a table is missing: {str(error).splitlines()[0]}")
    differences += [f"{wrong}: {count:,}" for wrong, count in broken.items() if count]
    return Check(
        id=rule.id,
        title=rule.title,
        passed=not differences,
        seconds=time.perf_counter() - began,
        evidence={"tables": list(rule.needs), "violations": broken, "differences": differences},
    )
