"""One request to the generator, checked, and when everything in it happens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from floe_synthetic import patterns
from floe_synthetic.calendar_curve import Curve, hour_edges
from floe_synthetic.draws import Draws, Ints, Stream
from floe_synthetic.state import GeneratorState, in_utc, require_count

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST: Final = timedelta(days=100 * 366)  # a typo in a year must not fill the memory with hours


@dataclass(frozen=True)
class Request:
    """What shall happen between the state's `until` and this one.

    Raises:
        ValueError: naming the field, its value and what would be right.
    """

    until: datetime
    orders: int
    customers: int
    products: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "until", in_utc("until", self.until))
        for name in ("orders", "customers", "products"):
            require_count(name, getattr(self, name))

    def check_after(self, state: GeneratorState) -> None:
        """Refuse what cannot follow on `state`."""
        if self.until <= state.until:
            raise ValueError(f"until: {self.until.isoformat()}; it must be after {state.until.isoformat()}")
        if self.until - state.until > LONGEST:
            raise ValueError(
                f"until: {self.until.isoformat()}; at most 100 years after {state.until.isoformat()}"
            )
        for name in ("customers", "products"):
            if self.orders and not getattr(self, name) + getattr(state, name):
                raise ValueError(f"{name}: 0, and there are none yet; orders need at least 1")


class Window:
    """A request as moments in time, all in microseconds since 1970 and ascending."""

    def __init__(self, draws: Draws, state: GeneratorState, request: Request) -> None:
        request.check_after(state)
        self.state, self.request, self._draws = state, request, draws
        start, self.end = to_microseconds(state.until), to_microseconds(request.until)

        edges = hour_edges(start, self.end)
        busy = patterns.hourly_rate(draws, edges[:-1] // patterns.HOUR).astype(np.float64)
        middle = (edges[:-1] - start + np.diff(edges) / 2) / (self.end - start)
        signups = Curve.over(edges, busy * patterns.growth(middle))
        # Orders follow the customers who are there to place them, so each customer keeps a steady pace for
        # years.
        present = state.customers + request.customers * signups.progress()
        self._orders = Curve.over(edges, busy * present if request.orders else busy)

        self.signups = signups.moments(
            draws,
            Stream.SIGNUP_TIME,
            first_id=state.customers + 1,
            count=request.customers,
            begin=0,
            end=request.customers,
        )
        if request.customers and not state.customers:
            self.signups[0] = start  # somebody must be there when the shop opens
        self.introductions = _introductions(start, self.end, request.products, opening=not state.products)

    def order_times(self, begin: int, end: int) -> Ints:
        """The moments of the orders `begin` to `end` (exclusive) of this window."""
        return self._orders.moments(
            self._draws,
            Stream.ORDER_TIME,
            first_id=self.state.orders + 1,
            count=self.request.orders,
            begin=begin,
            end=end,
        )

    def customers_known(self, at: Ints) -> Ints:
        """How many customers have signed up by each moment, those before this window included."""
        return self.state.customers + np.searchsorted(self.signups, at, side="right")

    def products_known(self, at: Ints) -> Ints:
        """How many products have been introduced by each moment, those before this window included."""
        return self.state.products + np.searchsorted(self.introductions, at, side="right")


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_microseconds(since_1970: int) -> datetime:
    """The moment in UTC, exactly."""
    return EPOCH + timedelta(microseconds=since_1970)


def _introductions(start: int, end: int, products: int, *, opening: bool) -> Ints:
    """When products are introduced: a new shop opens with most of them, the others come evenly spaced."""
    at_once = -(-products * patterns.OPENING_SHARE // 1000) if opening else 0
    later = products - at_once
    after = (end - start) * (np.arange(1, later + 1) / (later + 1))
    return start + np.concatenate([np.zeros(at_once, dtype=np.int64), after.astype(np.int64)])
