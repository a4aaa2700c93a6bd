"""Questions that are asked again while a forward is made anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import httpx

SECONDS: Final = 20.0
AGAIN_SECONDS: Final = 0.3


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
