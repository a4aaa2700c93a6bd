"""What the shop is like: who buys how much, when, what, in which baskets, and how an order's life goes.

Every function is pure; ids go in, values come out, so a batch can be made without the rows before it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from floe_synthetic.draws import Draws, Floats, Ints, Stream, per_mille
from floe_synthetic.vocabulary import CATEGORIES

MINUTE: Final = 60_000_000  # microseconds, the unit of every time here
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

# --- rhythm: how busy the shop is, relative numbers -----------------------------------------------
# By hour of the day (UTC): quiet nights, a bump at noon, the peak in the evening; weekends are busier.
WORKDAY_HOURS: Final = (
    *(12, 8, 5, 4, 4, 6, 14, 26, 38, 46, 52, 58),
    *(66, 60, 54, 54, 60, 72, 90, 108, 116, 104, 68, 32),
)
WEEKEND_HOURS: Final = (
    *(22, 16, 10, 7, 6, 8, 14, 28, 52, 78, 98, 108),
    *(110, 106, 100, 98, 102, 112, 128, 140, 142, 120, 82, 46),
)
# By month, the value at its first day; days between are interpolated. The last quarter carries about a third
# of a year.
MONTHS: Final = (96, 84, 86, 90, 94, 95, 90, 88, 94, 104, 132, 176)
# Good and bad days: a day's factor, drawn evenly between these.
MOOD: Final = (85, 115)
# The rate of signups at the end of a window over that at its start: the shop grows ever faster.
GROWTH: Final = 4

# --- customers ------------------------------------------------------------------------------------
# A customer at quantile q buys in proportion to (1 - q) ** -11/16: a Pareto law with exponent 16/11, by which
# the top 10 % place about half of all orders. The cut-off keeps a single customer from being a visible part
# of a shop.
WEIGHT_CUTOFF: Final = 1 / 400
WEIGHT_UNIT: Final = 1000

# --- products -------------------------------------------------------------------------------------
CATEGORY_MIX: Final = (180, 210, 220, 120, 110, 90, 70)  # of the catalogue and of what is sold, per mille
PRICE_TIERS: Final = (500, 350, 150)  # entry, core, premium: share of a category's products, per mille
# By category: where entry, core and premium begin and where premium ends, in whole currency units.
PRICE_LADDER: Final[dict[str, tuple[int, int, int, int]]] = {
    "Electronics": (19, 79, 299, 1199),
    "Home": (9, 29, 99, 399),
    "Fashion": (12, 29, 79, 249),
    "Beauty": (4, 14, 39, 119),
    "Sports": (9, 34, 119, 499),
    "Books": (4, 12, 24, 59),
    "Toys": (6, 19, 49, 149),
}
TIER_DEMAND: Final = (5, 3, 2)  # cheap things sell more often
POPULARITY_CUTOFF: Final = 1 / 25
OPENING_SHARE: Final = 600  # of a new shop's catalogue that is there on the first day, per mille

# --- orders ---------------------------------------------------------------------------------------
BASKET_LINES: Final = (440, 270, 140, 80, 50, 20)  # orders with 1, 2, ... 6 lines, per mille
QUANTITIES: Final = (760, 170, 50, 20)  # lines with 1, 2, ... 4 pieces, per mille
COUPONS: Final[dict[int, int]] = {
    0: 800,
    5: 80,
    10: 70,
    20: 50,
}  # per cent off: orders that use it, per mille

STATUSES: Final = ("placed", "paid", "shipped", "delivered", "returned", "cancelled")
PLACED, PAID, SHIPPED, DELIVERED, RETURNED, CANCELLED = range(6)
FATES: Final = (890, 70, 40)  # orders that stay delivered, come back, are cancelled: per mille
# When a step happens after the order, (quickest, slowest): a quick order is quick in every step. A
# cancellation comes before the parcel leaves, a return after it arrived.
STEP_AFTER: Final[dict[int, tuple[int, int]]] = {
    PAID: (0, 30 * MINUTE),
    CANCELLED: (10 * MINUTE, 12 * HOUR),
    SHIPPED: (12 * HOUR, 3 * DAY),
    DELIVERED: (3 * DAY, 10 * DAY),
    RETURNED: (6 * DAY, 30 * DAY),
}

_CATEGORY_TABLE: Final = per_mille(CATEGORY_MIX)
_TIER_TABLE: Final = per_mille(PRICE_TIERS)
_TIER_STARTS: Final = np.cumsum((0, *PRICE_TIERS)) / 1000
_LADDER_TABLE: Final = np.array([PRICE_LADDER[category] for category in CATEGORIES], dtype=np.int64)
_LINES_TABLE: Final = per_mille(BASKET_LINES) + 1
_QUANTITY_TABLE: Final = per_mille(QUANTITIES) + 1
_COUPON_TABLE: Final = np.array(tuple(COUPONS), dtype=np.int64)[per_mille(tuple(COUPONS.values()))]
_FATE_TABLE: Final = per_mille(FATES)
_WEEK_TABLE: Final = np.array(WORKDAY_HOURS * 5 + WEEKEND_HOURS * 2, dtype=np.int64)  # from Monday, 00:00
_MONTH_TABLE: Final = np.array((*MONTHS, MONTHS[0]), dtype=np.int64)


def hourly_rate(draws: Draws, hours: Ints) -> Ints:
    """How busy the shop is in each hour (counted since 1970, UTC): hour of the week x season x mood."""
    days = hours // 24
    week_hour = (hours + 3 * 24) % 168  # 1970-01-01 was a Thursday
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    month = months.astype(np.int64) % 12
    day_of_month = (dates - months.astype("datetime64[D]")).astype(np.int64)
    season = _MONTH_TABLE[month] * (31 - day_of_month) + _MONTH_TABLE[month + 1] * day_of_month
    mood = draws.choices(Stream.DAY_MOOD, days, np.arange(MOOD[0], MOOD[1] + 1))
    rate: Ints = _WEEK_TABLE[week_hour] * season * mood
    return rate


def growth(progress: Floats) -> Floats:
    """The relative rate of signups at `progress` (0 to 1) through a window."""
    return 1 + (GROWTH - 1) * progress


def customer_weights(draws: Draws, ids: Ints) -> Ints:
    """How much each customer buys, relative to the others: a Pareto law in whole numbers >= WEIGHT_UNIT."""
    rest = np.maximum(1 - draws.spread(Stream.CUSTOMER_WEIGHT, ids), WEIGHT_CUTOFF)
    half = np.sqrt(rest)
    eighth = np.sqrt(np.sqrt(half))
    sixteenth = np.sqrt(eighth)
    return (WEIGHT_UNIT / (half * eighth * sixteenth)).astype(np.int64)  # 1/2 + 1/8 + 1/16 = 11/16


def product_categories(draws: Draws, ids: Ints) -> Ints:
    """The category of each product as an index into CATEGORIES."""
    return _CATEGORY_TABLE[(draws.spread(Stream.PRODUCT_CATEGORY, ids) * 1000).astype(np.int64)]


def product_prices(draws: Draws, ids: Ints) -> Ints:
    """The price of each product in cents: a step on its category's ladder, ending in 99."""
    place = draws.spread(Stream.PRODUCT_PRICE, ids)
    tier = _tiers(place)
    within = (place - _TIER_STARTS[tier]) / (_TIER_STARTS[tier + 1] - _TIER_STARTS[tier])
    ladder = _LADDER_TABLE[product_categories(draws, ids)]
    rows = np.arange(len(ids))
    low, high = ladder[rows, tier], ladder[rows, tier + 1]
    return (low + (within * (high - low)).astype(np.int64)) * 100 + 99


def product_weights(draws: Draws, ids: Ints) -> Ints:
    """How often each product is bought, relative to the others: bestsellers, and cheap before dear."""
    rest = np.maximum(1 - draws.spread(Stream.PRODUCT_POPULARITY, ids), POPULARITY_CUTOFF)
    demand = np.array(TIER_DEMAND)[_tiers(draws.spread(Stream.PRODUCT_PRICE, ids))]
    return (100 * demand / np.sqrt(rest)).astype(np.int64)


def _tiers(place: Floats) -> Ints:
    """The price tier (0 entry, 1 core, 2 premium) of products at these places of the ladder."""
    return _TIER_TABLE[(place * 1000).astype(np.int64)]


def basket_lines(draws: Draws, order_ids: Ints) -> Ints:
    """How many things each order's customer picks up, 1 to 6."""
    return draws.choices(Stream.ORDER_LINES, order_ids, _LINES_TABLE)


def quantities(draws: Draws, line_keys: Ints) -> Ints:
    """How many pieces each line is for, 1 to 4."""
    return draws.choices(Stream.LINE_QUANTITY, line_keys, _QUANTITY_TABLE)


def coupons(draws: Draws, order_ids: Ints) -> Ints:
    """The discount of each order in per cent, mostly 0."""
    return draws.choices(Stream.ORDER_COUPON, order_ids, _COUPON_TABLE)


def statuses(draws: Draws, order_ids: Ints, ages: Ints) -> Ints:
    """Where each order is in its life, as an index into STATUSES.

    An order has one fate and one pace, so as it ages it only ever moves forward.

    Args:
        draws: the seed's randomness.
        order_ids: shape (orders,).
        ages: shape (orders,), microseconds since the order was placed.
    """
    pace = draws.fractions(Stream.ORDER_PACE, order_ids)
    fate = draws.choices(Stream.ORDER_FATE, order_ids, _FATE_TABLE)

    def reached(step: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        quickest, slowest = STEP_AFTER[step]
        return ages >= quickest + pace * (slowest - quickest)

    status = reached(PAID).astype(np.int64) + reached(SHIPPED) + reached(DELIVERED)
    status[(fate == 1) & reached(RETURNED)] = RETURNED
    status[(fate == 2) & reached(CANCELLED)] = CANCELLED
    return status
