"""The same shop as it is usually written, with Faker a row at a time: the yardstick of the bench."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from faker import Faker

Row = dict[str, Any]
CATEGORIES = ("Electronics", "Home", "Fashion", "Beauty", "Sports", "Books", "Toys")
STATUSES = ("placed", "paid", "shipped", "delivered", "returned", "cancelled")
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


def naive_shop(*, customers: int, products: int, orders: int, seed: int = 42) -> dict[str, list[Row]]:
    """Rows with the columns of `floe_synthetic.schemas`, without the patterns."""
    fake = Faker("en_US")
    fake.seed_instance(seed)
    people = [_customer(fake, number) for number in range(1, customers + 1)]
    goods = [_product(fake, number) for number in range(1, products + 1)]
    made: list[Row] = []
    lines: list[Row] = []
    for number in range(1, orders + 1):
        customer = fake.random_element(people)
        order = {
            "order_id": number,
            "customer_id": customer["customer_id"],
            "region": customer["region"],
            "status": fake.random_element(STATUSES),
            "ordered_at": fake.date_time_between(customer["signed_up_at"], END, tzinfo=UTC),
            "total_amount": Decimal(0),
        }
        for _ in range(fake.random_int(1, 3)):
            line = _line(fake, len(lines) + 1, number, fake.random_element(goods))
            order["total_amount"] += line["line_amount"]
            lines.append(line)
        made.append(order)
    return {"customers": people, "products": goods, "orders": made, "order_items": lines}


def _customer(fake: Faker, number: int) -> Row:
    return {
        "customer_id": number,
        "first_name": fake.first_name(),
        "last_name": fake.last_name(),
        "email": fake.unique.email(),
        "region": fake.state(),
        "country": fake.country(),
        "signed_up_at": fake.date_time_between(START, END, tzinfo=UTC),
    }


def _product(fake: Faker, number: int) -> Row:
    return {
        "product_id": number,
        "sku": fake.unique.ean13(),
        "name": fake.catch_phrase(),
        "category": fake.random_element(CATEGORIES),
        "price": Decimal(fake.random_int(399, 99999)) / 100,
        "introduced_at": START,
    }


def _line(fake: Faker, number: int, order_id: int, product: Row) -> Row:
    quantity = fake.random_int(1, 4)
    gross = product["price"] * quantity
    discount = (gross * fake.random_element((0, 0, 0, 5, 10)) / 100).quantize(Decimal("0.01"))
    return {
        "order_item_id": number,
        "order_id": order_id,
        "product_id": product["product_id"],
        "quantity": quantity,
        "unit_price": product["price"],
        "discount_amount": discount,
        "line_amount": gross - discount,
    }
