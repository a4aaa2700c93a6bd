"""What is done when a process ends, a forked one too."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing.util import Finalize

_registered: set[tuple[int, Callable[[], object]]] = set()


def at_process_end(call: Callable[[], object]) -> None:
    """Have it called when this process ends; asking again changes nothing.

    `atexit` would not do: a run's process is forked, and such a process ends without it. What was registered
    before the fork is the parent's alone.
    """
    key = (os.getpid(), call)
    if key not in _registered:
        _registered.add(key)
        Finalize(None, call, exitpriority=0)
