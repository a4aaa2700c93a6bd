"""Numbers of several measurements."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest measurement that is not below `percent` of all: never one that was not made.

    Raises:
        ValueError: There are no measurements.
    """
    if not values:
        raise ValueError("no measurements")
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float | int]:
    """How many measurements, p50, p95 and the largest."""
    return {
        "n": len(values),
        "p50": round(percentile(values, 50), digits),
        "p95": round(percentile(values, 95), digits),
        "max": round(max(values), digits),
    }


def machine() -> str:
    """How busy this machine is, for whoever reads a time that was measured on it."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
