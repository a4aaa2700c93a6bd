"""Damage of every kind is seen, and said with table and size."""

import pytest

from floe_pipeline.lake.catalog import TableTotals
from floe_pipeline.verify.rules import check_rules
from floe_pipeline.verify.totals import check_totals


def test_a_right_lake_passes_everything(lake, ledger):
    total = check_totals(lake, ledger, expected=ledger)
    assert total.passed, total.evidence["differences"]
    assert [check.id for check in check_rules(lake) if not check.passed] == []
    orders = next(entry for entry in total.evidence["quantities"] if entry["table"] == "orders")
    assert set(orders["seen"]) == {
        "generator", "ledger", "bronze.orders", "gold.orders", "gold.customers", "gold.daily_revenue"
    }  # fmt: skip
    assert set(orders["seen"].values()) == {40}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            "DELETE FROM lake.bronze.customers WHERE customer_id = 10",
            "bronze.customers has customers rows 9, the ledger has 10: 1 missing",
        ),
        (
            "INSERT INTO lake.bronze.orders FROM lake.bronze.orders WHERE order_id < 3",
            "bronze.orders has orders rows 42, the ledger has 40: 2 too many",
        ),
        (
            "UPDATE lake.bronze.orders SET total_amount = total_amount + 1234.56 WHERE order_id = 1",
            "1,234.56 too many",
        ),
        (
            "UPDATE lake.gold.products SET total_revenue = total_revenue - 0.01 WHERE product_id = 1",
            "0.01 missing",
        ),
        (
            "DROP TABLE lake.gold.daily_revenue",
            "gold.daily_revenue is missing (orders rows): run `floe transform`",
        ),
    ],
)
def test_totals_name_the_table_and_the_difference(lake, ledger, damage, said):
    lake.execute(damage)
    check = check_totals(lake, ledger)
    assert not check.passed
    assert any(said in line for line in check.evidence["differences"]), check.evidence["differences"]


def test_the_generators_own_totals_are_believed_before_the_ledger(lake, ledger):
    expected = {**ledger, "orders": TableTotals(rows=41, cents=ledger["orders"].cents)}
    differences = check_totals(lake, ledger, expected).evidence["differences"]
    assert "ledger has orders rows 40, the generator has 41: 1 missing" in differences


@pytest.mark.parametrize(
    ("damage", "rule", "said"),
    [
        (
            "UPDATE lake.bronze.order_items SET line_amount = line_amount + 0.01 WHERE order_item_id = 7",
            "B1.money",
            "lines that are not quantity x unit price - discount: 1",
        ),
        (
            "UPDATE lake.bronze.products SET price = price + 1 WHERE product_id = 2",
            "B1.money",
            "whose unit price is not the product's: 16",
        ),
        (
            "DELETE FROM lake.bronze.order_items WHERE order_item_id = 7",
            "B1.money",
            "not the sum of their lines: 1",
        ),
        ("DELETE FROM lake.bronze.order_items WHERE order_id = 7", "B1.keys", "orders without a line: 1"),
        (
            "DELETE FROM lake.bronze.products WHERE product_id = 5",
            "B1.keys",
            "lines without their product: 16",
        ),
        (
            "UPDATE lake.bronze.orders SET region = 'west' WHERE order_id = 1",
            "B1.keys",
            "without their customer, or in another region: 1",
        ),
        ("DELETE FROM lake.bronze.orders WHERE order_id = 40", "B1.keys", "lines without their order: 2"),
        ("DELETE FROM lake.bronze.orders WHERE order_id = 20", "B1.unique", "bronze.orders: ids missing"),
        (
            "INSERT INTO lake.bronze.products FROM lake.bronze.products LIMIT 1",
            "B1.unique",
            "SKUs used twice: 1",
        ),
        (
            "UPDATE lake.bronze.customers SET email = 'C1@example.com' WHERE customer_id = 2",
            "B1.unique",
            "e-mail addresses used twice: 1",
        ),
        (
            "UPDATE lake.bronze.customers SET signed_up_at = now()",
            "B1.time",
            "before their customer signed up: 40",
        ),
        (
            "UPDATE lake.bronze.products SET introduced_at = now() WHERE product_id = 1",
            "B1.time",
            "orders of a product before its introduction: 16",
        ),
        (
            "UPDATE lake.bronze.orders SET ordered_at = now() + INTERVAL 1 DAY WHERE order_id = 40",
            "B1.time",
            "orders in the future: 1",
        ),
        (
            "UPDATE lake.gold.orders SET status = 'placed' WHERE order_id = 1",
            "B1.marts",
            "gold.orders: rows that differ",
        ),
        ("DELETE FROM lake.gold.customers WHERE orders = 0", "B1.marts", "gold.customers: rows that differ"),
        (
            "UPDATE lake.gold.products SET orders = orders + 1 WHERE product_id = 1",
            "B1.marts",
            "gold.products: rows that differ from bronze: 1",
        ),
        (
            "UPDATE lake.gold.daily_revenue SET net_revenue = revenue",
            "B1.marts",
            "gold.daily_revenue: rows that differ",
        ),
        ("DROP TABLE lake.gold.customers", "B1.marts", "a table is missing"),
    ],
)
def test_rules_see_damaged_rows(lake, damage, rule, said):
    lake.execute(damage)
    check = {check.id: check for check in check_rules(lake)}[rule]
    assert not check.passed
    assert any(said in line for line in check.evidence["differences"]), check.evidence["differences"]
