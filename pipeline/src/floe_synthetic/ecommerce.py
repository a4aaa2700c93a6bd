"""EcommerceGenerator: customers, products, orders and order items of a shop, batch by batch, from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa

from floe_synthetic import patterns, vocabulary
from floe_synthetic.columns import joined, table, texts, words
from floe_synthetic.draws import Draws, Ints, Stream, WeightedIds
from floe_synthetic.schemas import CUSTOMERS, ORDER_ITEMS, ORDERS, PRODUCTS
from floe_synthetic.state import GeneratorState, require_count
from floe_synthetic.window import Request, Window, from_microseconds

__all__ = ["Batch", "EcommerceGenerator", "GeneratorState"]

_LINE_SLOTS: Final = 8  # order id x this + line number = the key of a line's draws
_COUNTRY_NAMES: Final = pa.array([country.name for country in vocabulary.COUNTRIES])
_COUNTRY_REGIONS: Final = pa.array([country.region for country in vocabulary.COUNTRIES])
_COUNTRY_TABLE: Final = np.repeat(
    np.arange(len(vocabulary.COUNTRIES)), [country.share for country in vocabulary.COUNTRIES]
)
_CATEGORY_NAMES: Final = pa.array(vocabulary.CATEGORIES)
_CATEGORY_CODES: Final = pa.array([name[:3].upper() for name in vocabulary.CATEGORIES])
_STATUS_NAMES: Final = pa.array(patterns.STATUSES)
_MAIL_DOMAINS: Final = pa.array(["example.com", "example.net", "example.org"])  # reserved: mail goes nowhere


@dataclass(frozen=True)
class Batch:
    """New rows of each table (see `floe_synthetic.schemas`) and the state after them."""

    customers: pa.Table
    products: pa.Table
    orders: pa.Table
    order_items: pa.Table
    state: GeneratorState

    def tables(self) -> dict[str, pa.Table]:
        """The four tables by name."""
        return {
            "customers": self.customers,
            "products": self.products,
            "orders": self.orders,
            "order_items": self.order_items,
        }


class EcommerceGenerator:
    """Makes a shop's history, batch after batch.

    A batch is a pure function of (seed, state, request): the same on any day and any machine. The attributes
    of customer i and product i are functions of (seed, i), so a batch needs no rows of the batches before it,
    only the state. Ids are dense, start at 1 and ascend with time.

    Args:
        seed: 0 to 2**63 - 1; another seed is another shop.

    Raises:
        ValueError: when the seed is not such a number.
    """

    def __init__(self, seed: int = 42) -> None:
        self.seed: Final = require_count("seed", seed)
        self._draws = Draws(seed)
        self._buyers = WeightedIds(lambda ids: patterns.customer_weights(self._draws, ids))
        self._bestsellers = WeightedIds(lambda ids: patterns.product_weights(self._draws, ids))

    def initial_state(self, start: datetime) -> GeneratorState:
        """The state of a shop that opens at `start` and has nothing yet."""
        return GeneratorState(customers=0, products=0, orders=0, order_items=0, until=start)

    def batch(
        self, state: GeneratorState, *, until: datetime, orders: int, customers: int = 0, products: int = 0
    ) -> Batch:
        """Everything that happens from `state.until` to `until`.

        Args:
            state: where the history stands.
            until: end of the window (exclusive); order statuses are as of this moment.
            orders: new orders, at least one item each.
            customers: new customers; they sign up ever faster through the window and can order from then on.
            products: new products; when the shop has none, most of them are there from the first moment.

        Raises:
            ValueError: naming the argument, its value and what would be right.
        """
        window = Window(self._draws, state, Request(until, orders, customers, products))
        (whole,) = self._pieces(window, size=max(orders, 1))
        return whole

    def batches(
        self,
        state: GeneratorState,
        *,
        until: datetime,
        orders: int,
        customers: int = 0,
        products: int = 0,
        max_orders_per_batch: int = 250_000,
    ) -> Iterator[Batch]:
        """The rows of `batch` in pieces, so that memory does not grow with the number of orders.

        The pieces of each table, put end to end, are exactly that table of `batch`. Each piece's state is a
        state like any other, from which one can go on; the last is `batch`'s. The window is cut at the moment
        of an order, so a piece's last events may be at its `state.until` itself.

        Args:
            state: as in `batch`.
            until: as in `batch`.
            orders: as in `batch`.
            customers: as in `batch`.
            products: as in `batch`.
            max_orders_per_batch: orders in a piece, at least 1.

        Raises:
            ValueError: naming the argument, its value and what would be right; before the first piece.
        """
        window = Window(self._draws, state, Request(until, orders, customers, products))
        if max_orders_per_batch < 1:
            raise ValueError(f"max_orders_per_batch: {max_orders_per_batch}; it must be at least 1")
        return self._pieces(window, size=max_orders_per_batch)

    def _pieces(self, window: Window, size: int) -> Iterator[Batch]:
        state = window.state
        orders = window.request.orders
        for begin in range(0, max(orders, 1), size):
            end = min(begin + size, orders)
            is_last = end == orders
            times = window.order_times(begin, end if is_last else end + 1)
            cut = window.end if is_last else int(times[-1])  # else: where the next piece's first order is
            piece = self._piece(window, state, times[: end - begin], cut)
            state = piece.state
            yield piece

    def _piece(self, window: Window, state: GeneratorState, ordered_at: Ints, cut: int) -> Batch:
        """What happens after `state` up to `cut`; `ordered_at` are the moments of its orders."""
        signed_up_at = _next_until(window.signups, state.customers - window.state.customers, cut)
        introduced_at = _next_until(window.introductions, state.products - window.state.products, cut)
        order_ids = _ids_after(state.orders, len(ordered_at))
        totals, items = self._items(order_ids, window.products_known(ordered_at), state.order_items)
        return Batch(
            customers=self._customers(_ids_after(state.customers, len(signed_up_at)), signed_up_at),
            products=self._products(_ids_after(state.products, len(introduced_at)), introduced_at),
            orders=self._orders(order_ids, ordered_at, totals, window),
            order_items=items,
            state=GeneratorState(
                customers=state.customers + len(signed_up_at),
                products=state.products + len(introduced_at),
                orders=state.orders + len(order_ids),
                order_items=state.order_items + items.num_rows,
                until=from_microseconds(cut),
            ),
        )

    def _orders(self, ids: Ints, ordered_at: Ints, totals: Ints, window: Window) -> pa.Table:
        who = self._draws.fractions(Stream.ORDER_CUSTOMER, ids)
        customer_ids = self._buyers.pick(who, window.customers_known(ordered_at))
        return table(
            ORDERS,
            order_id=ids,
            customer_id=customer_ids,
            region=words(_COUNTRY_REGIONS, self._countries(customer_ids)),
            status=words(_STATUS_NAMES, patterns.statuses(self._draws, ids, window.end - ordered_at)),
            ordered_at=ordered_at,
            total_amount=totals,
        )

    def _items(self, order_ids: Ints, products_known: Ints, existing: int) -> tuple[Ints, pa.Table]:
        """The total in cents of each order, and its lines (ids from `existing` + 1)."""
        lines = patterns.basket_lines(self._draws, order_ids)
        order = np.repeat(np.arange(len(order_ids)), lines)  # each line's order, as a place in order_ids
        line = np.arange(len(order)) - np.repeat(np.cumsum(lines) - lines, lines)
        keys = order_ids[order] * _LINE_SLOTS + line
        what = self._draws.fractions(Stream.LINE_PRODUCT, keys)
        product_ids = self._bestsellers.pick(what, products_known[order])
        # Nobody writes a product on two lines of an order: who picks it again leaves it at the first.
        again = np.zeros(len(order), dtype=np.bool_)
        for back in range(1, len(patterns.BASKET_LINES)):
            again[back:] |= (order[back:] == order[:-back]) & (product_ids[back:] == product_ids[:-back])
        order, keys, product_ids = order[~again], keys[~again], product_ids[~again]

        quantity = patterns.quantities(self._draws, keys)
        unit_price = self._prices(product_ids)
        gross = quantity * unit_price
        discount = gross * patterns.coupons(self._draws, order_ids)[order] // 100
        net = gross - discount
        totals = np.zeros(len(order_ids), dtype=np.int64)
        np.add.at(totals, order, net)
        return totals, table(
            ORDER_ITEMS,
            order_item_id=_ids_after(existing, len(order)),
            order_id=order_ids[order],
            product_id=product_ids,
            quantity=quantity,
            unit_price=unit_price,
            discount_amount=discount,
            line_amount=net,
        )

    def _prices(self, product_ids: Ints) -> Ints:
        """The price in cents on each line; the price list is worked out once, not a line at a time."""
        price_list = patterns.product_prices(self._draws, np.arange(int(product_ids.max(initial=0)) + 1))
        return price_list[product_ids]

    def _countries(self, customer_ids: Ints) -> Ints:
        """Where each customer lives, as an index into COUNTRIES."""
        return self._draws.choices(Stream.CUSTOMER_COUNTRY, customer_ids, _COUNTRY_TABLE)

    def _customers(self, ids: Ints, signed_up_at: Ints) -> pa.Table:
        known = vocabulary.load()
        names = np.arange(vocabulary.NAMES)
        country = self._countries(ids)
        first = country * vocabulary.NAMES + self._draws.choices(Stream.CUSTOMER_FIRST_NAME, ids, names)
        last = country * vocabulary.NAMES + self._draws.choices(Stream.CUSTOMER_LAST_NAME, ids, names)
        # The id makes an address unique: it is all that follows the last dot before the @.
        mailbox = joined(".", words(known.first_slugs, first), words(known.last_slugs, last), texts(ids))
        return table(
            CUSTOMERS,
            customer_id=ids,
            first_name=words(known.first_names, first),
            last_name=words(known.last_names, last),
            email=joined("@", mailbox, words(_MAIL_DOMAINS, ids % len(_MAIL_DOMAINS))),
            region=words(_COUNTRY_REGIONS, country),
            country=words(_COUNTRY_NAMES, country),
            signed_up_at=signed_up_at,
        )

    def _products(self, ids: Ints, introduced_at: Ints) -> pa.Table:
        known = vocabulary.load()
        category = patterns.product_categories(self._draws, ids)
        noun = self._draws.choices(Stream.PRODUCT_NOUN, ids, np.arange(vocabulary.NOUNS))
        brand = self._draws.choices(Stream.PRODUCT_BRAND, ids, np.arange(vocabulary.BRANDS))
        colour = self._draws.choices(Stream.PRODUCT_COLOUR, ids, np.arange(vocabulary.COLOURS))
        model = joined(
            " ", words(known.brands, brand), words(known.goods, category * vocabulary.NOUNS + noun)
        )
        return table(
            PRODUCTS,
            product_id=ids,
            sku=joined("-", words(_CATEGORY_CODES, category), texts(ids, width=6)),
            name=joined(", ", model, words(known.colours, colour)),
            category=words(_CATEGORY_NAMES, category),
            price=patterns.product_prices(self._draws, ids),
            introduced_at=introduced_at,
        )


def _ids_after(existing: int, count: int) -> Ints:
    """The next `count` ids when the ids 1 to `existing` are taken."""
    return np.arange(existing + 1, existing + count + 1, dtype=np.int64)


def _next_until(moments: Ints, done: int, cut: int) -> Ints:
    """The moments up to and including `cut`, without the first `done`."""
    return moments[done : np.searchsorted(moments, cut, side="right")]
