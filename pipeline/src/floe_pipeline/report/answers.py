"""How fast a question was answered, as the report page draws it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """A question, asked several times.

    Attributes:
        question: In a few words.
        cached: Milliseconds of each answer from the cache.
        uncached: Milliseconds of each answer past every cache.
        rows: In the answer.
    """

    question: str
    cached: Sequence[float]
    uncached: Sequence[float]
    rows: int


def median_ms(measured: Iterable[Sequence[float]]) -> float:
    """The median of all measurements together."""
    return statistics.median(value for each in measured for value in each)
