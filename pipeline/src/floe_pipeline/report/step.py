"""A step of a run, as the terminal and the report page tell of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step of the run: what it was, what it made, how many seconds it took."""

    name: str
    made: str
    seconds: float
