"""Moments in time drawn from a rate that changes by the hour, in ascending order and in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from floe_synthetic.draws import Draws, Floats, Ints, Stream, as_fractions
from floe_synthetic.patterns import HOUR

# Events are spread over the curve's mass in blocks of this many: each block owns an equal share of the mass
# and draws its moments freely inside it. So events are as irregular as in life, yet any stretch of the
# sequence can be made in order without making or sorting the rest.
BLOCK: Final = 1024


@dataclass(frozen=True)
class Curve:
    """A rate of events over a window, constant within each hour of the clock."""

    edges: Ints  # (hours + 1,) microseconds since 1970; only the first and the last need not be full hours
    mass: Floats  # (hours + 1,) events expected before each edge, in relative numbers; the first is 0

    @classmethod
    def over(cls, edges: Ints, rates: Floats) -> Self:
        """The curve with `rates[i]` between `edges[i]` and `edges[i + 1]`; every rate is above 0."""
        mass = np.zeros(len(edges))
        np.cumsum(rates * np.diff(edges), out=mass[1:])
        return cls(edges, mass)

    def progress(self) -> Floats:
        """The share of all events that have happened by the middle of each hour, shape (hours,)."""
        middle: Floats = (self.mass[:-1] + self.mass[1:]) / (2 * self.mass[-1])
        return middle

    def moments(
        self, draws: Draws, stream: Stream, *, first_id: int, count: int, begin: int, end: int
    ) -> Ints:
        """Moments of events `begin` to `end` (exclusive) out of `count`, ascending.

        Args:
            draws: the seed's randomness.
            stream: what the events are.
            first_id: id of event 0.
            count: how many events the whole window has.
            begin: the first event wanted.
            end: one past the last event wanted.

        Returns:
            Shape (end - begin,): microseconds since 1970, within [first edge, last edge).
        """
        if begin == end:
            return np.empty(0, dtype=np.int64)
        blocks = np.arange(begin // BLOCK, -(-end // BLOCK), dtype=np.int64)
        slots = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        bits = draws.bits(stream, slots + first_id)
        bits[slots >= count] = np.iinfo(np.uint64).max  # no events: sorted to the end of the last block
        bits = np.sort(bits.reshape(-1, BLOCK), axis=1)
        low, high = (np.minimum(edge * BLOCK, count) / count * self.mass[-1] for edge in (blocks, blocks + 1))
        place = np.minimum(low[:, None] + as_fractions(bits) * (high - low)[:, None], high[:, None])
        return self._at_mass(place.ravel()[begin - blocks[0] * BLOCK :][: end - begin])

    def _at_mass(self, place: Floats) -> Ints:
        """The moment by which `place` of the mass has gone by."""
        hour = np.clip(np.searchsorted(self.mass, place, side="right") - 1, 0, len(self.edges) - 2)
        width = np.diff(self.edges)[hour]
        share = (place - self.mass[hour]) / np.diff(self.mass)[hour]
        within = (share * width).astype(np.int64)
        return self.edges[hour] + np.clip(within, 0, width - 1)


def hour_edges(start: int, end: int) -> Ints:
    """The window from `start` to `end` (microseconds since 1970) cut at every full hour of the clock."""
    inner = np.arange(start // HOUR + 1, -(-end // HOUR), dtype=np.int64) * HOUR
    return np.concatenate([[start], inner, [end]]).astype(np.int64)
