"""Says what is being built, for how long, and how much is left: a line at each event and now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TextIO

from .catalogue import Image


class Progress:
    """Lines on a stream; safe to call from the threads that build."""

    def __init__(
        self, images: Iterable[Image], *, workers: int, every: float = 20, out: TextIO = sys.stdout
    ) -> None:
        self._left = {image.name: image for image in images}
        self._total = len(self._left)
        self._workers = workers
        self._every = every
        self._out = out
        self._began = time.monotonic()
        self._running: dict[str, float] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._ticker.join()

    def started(self, image: Image) -> None:
        """An image's build began."""
        with self._lock:
            self._running[image.name] = time.monotonic()
            self._say(f"{image.name}: building ({self._rest()})")

    def finished(self, image: Image, size: int) -> None:
        """An image's archive of `size` bytes is there."""
        with self._lock:
            seconds = time.monotonic() - self._running.pop(image.name)
            del self._left[image.name]
            self._say(f"{image.name}: built in {seconds:.0f} s, {size / 1e6:.0f} MB ({self._rest()})")

    def _tick(self) -> None:
        while not self._stop.wait(self._every):
            with self._lock:
                now = time.monotonic()
                what = ", ".join(f"{name} {now - since:.0f} s" for name, since in self._running.items())
                self._say(f"still building {what} ({self._rest()})")

    def _rest(self) -> str:
        """What is left: cold builds' seconds from the table less what already ran, shared by the workers."""
        now = time.monotonic()
        seconds = [max(i.seconds - (now - self._running.get(i.name, now)), 5) for i in self._left.values()]
        done = self._total - len(self._left)
        rest = max([sum(seconds) / self._workers, *seconds], default=0)
        return f"{done} of {self._total} done, about {rest:.0f} s left on two idle cores"

    def _say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:4.0f} s] {text}", file=self._out, flush=True)
