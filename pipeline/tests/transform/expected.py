"""The marts of a shop, computed row by row in plain Python from bronze: what dbt's SQL is held against."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

from floe_pipeline.lake.catalog import Lake

Row = dict[str, Any]
KEYS = {
    "orders": ("order_id",),
    "customers": ("customer_id",),
    "products": ("product_id",),
    "daily_revenue": ("order_date", "region"),
}


def bronze(lake: Lake, name: str) -> list[Row]:
    return lake.load(f"bronze.{name}").scan().to_arrow().to_pylist()


def mart(lake: Lake, name: str) -> list[Row]:
    """A mart's rows in the order of its key, read without DuckDB."""
    rows = lake.load(f"gold.{name}").scan().to_arrow().to_pylist()
    return sorted(rows, key=lambda row: [row[key] for key in KEYS[name]])


def expected_marts(lake: Lake) -> dict[str, list[Row]]:
    lines = defaultdict(list)
    for item in bronze(lake, "order_items"):
        lines[item["order_id"]].append(item)
    placed = sorted(bronze(lake, "orders"), key=lambda order: order["order_id"])
    made = {
        "orders": [_order(order, lines[order["order_id"]]) for order in placed],
        "customers": [_customer(each, placed) for each in bronze(lake, "customers")],
        "products": [_product(each, lines) for each in bronze(lake, "products")],
        "daily_revenue": _daily(placed, lines),
    }
    return {
        name: sorted(rows, key=lambda row: [row[key] for key in KEYS[name]]) for name, rows in made.items()
    }


def _order(order: Row, lines: list[Row]) -> Row:
    kept = ("order_id", "customer_id", "region", "status", "ordered_at", "total_amount")
    return {name: order[name] for name in kept} | {
        "order_date": order["ordered_at"].date(),
        "item_count": len(lines),
        "units": sum(line["quantity"] for line in lines),
        "gross_amount": sum((line["quantity"] * line["unit_price"] for line in lines), Decimal(0)),
        "discount_amount": sum((line["discount_amount"] for line in lines), Decimal(0)),
    }


def _customer(customer: Row, placed: list[Row]) -> Row:
    own = [order for order in placed if order["customer_id"] == customer["customer_id"]]
    return customer | {
        "first_order_at": min((order["ordered_at"] for order in own), default=None),
        "last_order_at": max((order["ordered_at"] for order in own), default=None),
        "orders": len(own),
        "total_revenue": sum((order["total_amount"] for order in own), Decimal(0)),
        "is_repeat": len(own) > 1,
        "last_order_id": max((order["order_id"] for order in own), default=None),
    }


def _product(product: Row, lines: dict[int, list[Row]]) -> Row:
    own = [
        line
        for of_order in lines.values()
        for line in of_order
        if line["product_id"] == product["product_id"]
    ]
    kept = ("product_id", "sku", "name", "category", "price")
    return {name: product[name] for name in kept} | {
        "orders": len({line["order_id"] for line in own}),
        "units_sold": sum(line["quantity"] for line in own),
        "total_revenue": sum((line["line_amount"] for line in own), Decimal(0)),
        "last_order_id": max((line["order_id"] for line in own), default=None),
    }


def _daily(placed: list[Row], lines: dict[int, list[Row]]) -> list[Row]:
    days = defaultdict(list)
    for order in placed:
        days[order["ordered_at"].date(), order["region"]].append(order)
    return [
        {
            "order_date": date,
            "region": region,
            "orders": len(orders),
            "units": sum(line["quantity"] for order in orders for line in lines[order["order_id"]]),
            "revenue": sum((order["total_amount"] for order in orders), Decimal(0)),
            "net_revenue": sum(
                (o["total_amount"] for o in orders if o["status"] not in {"cancelled", "returned"}),
                Decimal(0),
            ),
            "last_order_id": max(order["order_id"] for order in orders),
        }
        for (date, region), orders in days.items()
    ]
