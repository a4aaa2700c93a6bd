"""Waiting for what nobody announces."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_BETWEEN_LOOKS = 0.02  # seconds


def until(condition: Callable[[], T], seconds: float = 10) -> T:
    """What the condition says as soon as that is true.

    Raises:
        AssertionError: it was not within that time; the message is what it said last.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain, last seen: {value!r}"
        time.sleep(_BETWEEN_LOOKS)
    return value
