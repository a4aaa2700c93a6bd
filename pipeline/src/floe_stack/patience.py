"""Questions that are asked again: until the answer is the one that is waited for, or a forward is back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import httpx

Answer = TypeVar("Answer")

SECONDS: Final = 20.0
AGAIN_SECONDS: Final = 0.3


def until(
    ask: Callable[[], Answer], is_right: Callable[[Answer], object], *, seconds: float, every: float
) -> Answer:
    """The first answer that is right; the last one when the time is over, which the caller has to notice.

    Args:
        ask: The question; what it raises ends the waiting.
        is_right: Whether an answer is the one that is waited for.
        seconds: How long to ask; at least once is asked.
        every: Seconds between two questions.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if is_right(answer) or time.monotonic() > deadline:
            return answer
        time.sleep(every)


def patiently(ask: Callable[[], httpx.Response], seconds: float = SECONDS) -> httpx.Response:
    """The answer to a question, whose connection may break off in between.

    A forward breaks off when its pod is replaced or when kubectl loses the API server, and is back
    within seconds. An answer of any status is an answer.

    Args:
        ask: Sends the request. It must change nothing: what broke off may have been done.
        seconds: How long to try.

    Raises:
        httpx.TransportError: The last try's.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(AGAIN_SECONDS)
