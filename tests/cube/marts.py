"""What Cube must answer, said a second time: SQL on the marts, written without a look at the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Mart:
    """The expectation of one cube.

    Attributes:
        table: the mart behind it.
        key: column that identifies a row.
        measures: measure -> SQL on the table.
        dimensions: dimension -> SQL on the table.
        segments: segment -> condition on the table.
    """

    table: str
    key: str
    measures: dict[str, str]
    dimensions: dict[str, str]
    segments: dict[str, str]


LOST: Final = "status IN ('cancelled', 'returned')"
CENTS: Final = "decimal(18, 2)"
ORDERED: Final = "count(*) FILTER (orders >= 1)"
REPEAT: Final = "count(*) FILTER (orders >= 2)"

MARTS: Final = {
    "Orders": Mart(
        table="lake.gold.orders",
        key="order_id",
        measures={
            "count": "count(*)",
            "total_revenue": "sum(total_amount)",
            "net_revenue": f"sum(CASE WHEN {LOST} THEN 0 ELSE total_amount END)",
            "gross_revenue": "sum(gross_amount)",
            "discounts": "sum(discount_amount)",
            "average_order_value": f"cast(avg(total_amount) AS {CENTS})",
            "items": "sum(item_count)",
            "units": "sum(units)",
            "units_per_order": f"cast(avg(units) AS {CENTS})",
            "days": "count(DISTINCT date_trunc('day', ordered_at AT TIME ZONE 'UTC'))",
            "customers": "count(DISTINCT customer_id)",
            "orders_per_customer": f"cast(count(*) / count(DISTINCT customer_id) AS {CENTS})",
            "cancelled": "count(*) FILTER (status = 'cancelled')",
            "returned": "count(*) FILTER (status = 'returned')",
            "loss_rate": f"cast(100 * count(*) FILTER ({LOST}) / count(*) AS {CENTS})",
            "first_ordered_at": "min(ordered_at)",
            "last_ordered_at": "max(ordered_at)",
        },
        dimensions={
            "id": "order_id",
            "customer_id": "customer_id",
            "region": "region",
            "status": "status",
            "ordered_at": "ordered_at",
            "weekday": "1 + (dayofweek(ordered_at AT TIME ZONE 'UTC') + 6) % 7",
            "hour": "hour(ordered_at AT TIME ZONE 'UTC')",
            "item_count": "item_count",
            "total_amount": "total_amount",
        },
        segments={"kept": f"NOT {LOST}", "open": "status IN ('placed', 'paid', 'shipped')"},
    ),
    "Customers": Mart(
        table="lake.gold.customers",
        key="customer_id",
        measures={
            "count": "count(*)",
            "buyer_count": ORDERED,
            "repeat_count": REPEAT,
            "repeat_rate": f"cast(100 * {REPEAT} / {ORDERED} AS {CENTS})",
            "orders": "sum(orders)",
            "total_revenue": "sum(total_revenue)",
            "revenue_per_buyer": f"cast(sum(total_revenue) / {ORDERED} AS {CENTS})",
        },
        dimensions={
            "id": "customer_id",
            "name": "concat(first_name, ' ', last_name)",
            "region": "region",
            "country": "country",
            "is_repeat": "orders >= 2",
            "orders_placed": "orders",
            "lifetime_value": "total_revenue",
            "signed_up_at": "signed_up_at",
            "first_order_at": "first_order_at",
            "last_order_at": "last_order_at",
        },
        segments={"buyers": "orders >= 1", "repeat": "orders >= 2"},
    ),
    "Products": Mart(
        table="lake.gold.products",
        key="product_id",
        measures={
            "count": "count(*)",
            "sold_count": ORDERED,
            "average_price": f"cast(avg(price) AS {CENTS})",
            "lowest_price": "min(price)",
            "lower_quartile_price": f"cast(quantile_cont(price, 0.25) AS {CENTS})",
            "median_price": f"cast(median(price) AS {CENTS})",
            "upper_quartile_price": f"cast(quantile_cont(price, 0.75) AS {CENTS})",
            "highest_price": "max(price)",
            "units_sold": "sum(units_sold)",
            "total_revenue": "sum(total_revenue)",
        },
        dimensions={
            "id": "product_id",
            "sku": "sku",
            "name": "name",
            "category": "category",
            "price": "price",
        },
        segments={"sold": "orders >= 1"},
    ),
}
# Views may show members of other cubes: view -> (its cube, {member of the view: (other cube, member)}).
VIEWS: Final = {
    "sales": (
        "Orders",
        {
            f"customer_{name}": ("Customers", name)
            for name in ("name", "country", "is_repeat", "signed_up_at")
        },
    ),
    "customer_base": ("Customers", {}),
    "catalogue": ("Products", {}),
}
