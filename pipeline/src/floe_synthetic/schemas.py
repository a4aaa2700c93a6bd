"""Arrow schemas of the four tables that the generator makes: the contract with whatever stores them."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

ID: Final = pa.int64()
MONEY: Final = pa.decimal128(18, 2)  # an amount in the shop's currency, exact to the cent
TIME: Final = pa.timestamp("us", tz="UTC")
TEXT: Final = pa.string()


def _required(**columns: pa.DataType) -> pa.Schema:
    """A schema whose columns, in this order, never hold a null."""
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])


CUSTOMERS: Final = _required(
    customer_id=ID,
    first_name=TEXT,
    last_name=TEXT,
    email=TEXT,
    region=TEXT,
    country=TEXT,
    signed_up_at=TIME,
)
PRODUCTS: Final = _required(
    product_id=ID,
    sku=TEXT,
    name=TEXT,
    category=TEXT,
    price=MONEY,
    introduced_at=TIME,
)
ORDERS: Final = _required(
    order_id=ID,
    customer_id=ID,
    region=TEXT,
    status=TEXT,
    ordered_at=TIME,
    total_amount=MONEY,
)
ORDER_ITEMS: Final = _required(
    order_item_id=ID,
    order_id=ID,
    product_id=ID,
    quantity=pa.int32(),
    unit_price=MONEY,
    discount_amount=MONEY,
    line_amount=MONEY,
)

SCHEMAS: Final[dict[str, pa.Schema]] = {
    "customers": CUSTOMERS,
    "products": PRODUCTS,
    "orders": ORDERS,
    "order_items": ORDER_ITEMS,
}
