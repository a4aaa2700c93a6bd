"""Random draws that are pure functions of (seed, stream, id): the same on every machine and NumPy version.

NumPy's own generators may change their values between versions, and they are sequences: the draw for row one
million needs the rows before it. Here each draw hashes a counter (SplitMix64), so any row can be made alone,
in any order. Floats are only added, multiplied, divided and square-rooted, one operation at a time: IEEE 754
rounds these the same everywhere, which powers, logarithms and fused loops (`np.power`, `np.interp`) do not
promise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Bits: TypeAlias = npt.NDArray[np.uint64]
Floats: TypeAlias = npt.NDArray[np.float64]

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15  # SplitMix64's step: 2^64 divided by the golden ratio
_MIX_1: Final = 0xBF58476D1CE4E5B9
_MIX_2: Final = 0x94D049BB133111EB


class Stream(IntEnum):
    """What a draw is for. A number here is part of the data's identity: never reuse or change one."""

    CUSTOMER_WEIGHT = 1
    CUSTOMER_COUNTRY = 2
    CUSTOMER_FIRST_NAME = 3
    CUSTOMER_LAST_NAME = 4
    SIGNUP_TIME = 5
    PRODUCT_CATEGORY = 10
    PRODUCT_PRICE = 11
    PRODUCT_POPULARITY = 12
    PRODUCT_BRAND = 13
    PRODUCT_NOUN = 14
    PRODUCT_COLOUR = 15
    ORDER_TIME = 20
    ORDER_CUSTOMER = 21
    ORDER_LINES = 22
    ORDER_COUPON = 23
    ORDER_FATE = 24
    ORDER_PACE = 25
    LINE_PRODUCT = 30
    LINE_QUANTITY = 31
    DAY_MOOD = 40


# Steps of evenly spread sequences (one dimension for customers, three for products): 2^64 divided by powers
# of the root of x^(d+1) = x + 1. Ids that walk in these steps fill the unit cube more evenly than random
# draws would.
SPREAD_STEPS: Final[dict[Stream, int]] = {
    Stream.CUSTOMER_WEIGHT: _GOLDEN,
    Stream.PRODUCT_CATEGORY: 0xD1B54A32D192ED03,
    Stream.PRODUCT_PRICE: 0xABC98388FB8FAC03,
    Stream.PRODUCT_POPULARITY: 0x8CB92BA72F3D8DD7,
}


class Draws:
    """All the randomness of one seed."""

    def __init__(self, seed: int) -> None:
        root = _scramble_int(seed & _MASK)
        self._keys = {stream: _scramble_int((root + stream * _GOLDEN) & _MASK) for stream in Stream}

    def bits(self, stream: Stream, ids: Ints) -> Bits:
        """64 independent bits for each id, shape as `ids`."""
        z = ids.astype(np.uint64)
        z *= np.uint64(_GOLDEN)
        z += np.uint64(self._keys[stream])
        z ^= z >> np.uint64(30)
        z *= np.uint64(_MIX_1)
        z ^= z >> np.uint64(27)
        z *= np.uint64(_MIX_2)
        z ^= z >> np.uint64(31)
        return z

    def fractions(self, stream: Stream, ids: Ints) -> Floats:
        """An independent uniform number in [0, 1) for each id."""
        return as_fractions(self.bits(stream, ids))

    def choices(self, stream: Stream, ids: Ints, table: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A uniformly chosen entry of `table` for each id (repeat entries to weigh them, see `per_mille`)."""
        index = self.bits(stream, ids) >> np.uint64(32)
        index *= np.uint64(len(table))
        index >>= np.uint64(32)
        return table.take(index.view(np.int64))

    def spread(self, stream: Stream, ids: Ints) -> Floats:
        """A number in [0, 1) for each id, such that any run of consecutive ids covers the interval evenly.

        Used where a share must hold for few rows too: every block of customers has its few heavy buyers.
        """
        z = ids.astype(np.uint64)
        z *= np.uint64(SPREAD_STEPS[stream])
        z += np.uint64(self._keys[stream])
        return as_fractions(z)


class WeightedIds:
    """Picks ids 1, 2, 3... by weight in a growing population; a batch adds only its own ids to the sums."""

    def __init__(self, weights: Callable[[Ints], Ints]) -> None:
        self._weights = weights
        self._totals: Ints = np.zeros(1, dtype=np.int64)  # entry i: the weights of ids 1 to i, summed

    def pick(self, fractions: Floats, known: Ints) -> Ints:
        """One of the ids 1 to `known[i]`, for each uniform `fractions[i]` in [0, 1); shapes (rows,)."""
        totals = self._up_to(int(known.max(initial=0)))
        place = (fractions * totals[known]).astype(np.int64)
        return np.minimum(np.searchsorted(totals, place, side="right"), known)

    def _up_to(self, count: int) -> Ints:
        totals = self._totals
        if count >= len(totals):
            new = self._weights(np.arange(len(totals), count + 1, dtype=np.int64))
            totals = self._totals = np.concatenate([totals, totals[-1] + np.cumsum(new)])
        return totals


def as_fractions(bits: Bits) -> Floats:
    """The upper 53 bits as a number in [0, 1), exactly."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def per_mille(weights: Sequence[int]) -> Ints:
    """A table of 1000 entries in which index i stands `weights[i]` times.

    Raises:
        ValueError: when the weights do not add up to 1000.
    """
    if sum(weights) != 1000:
        raise ValueError(f"weights {tuple(weights)} add up to {sum(weights)}; they are per mille: 1000")
    return np.repeat(np.arange(len(weights), dtype=np.int64), weights)


def _scramble_int(value: int) -> int:
    """SplitMix64's finalizer on a Python integer."""
    z = (value + _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * _MIX_1) & _MASK
    z = ((z ^ (z >> 27)) * _MIX_2) & _MASK
    return z ^ (z >> 31)
