"""Servers that tests run on 127.0.0.1 for as long as they need them."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

_START_SECONDS = 60


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serving(
    command: list[str], *, env: dict[str, str], cwd: Path, ready: Callable[[], bool], log: Path
) -> Iterator[None]:
    """Run a server until the end of the block; ready() says when the block may begin.

    Raises:
        AssertionError: it ended or was not ready in time; the message is its log.
    """
    with log.open("w") as out:
        process = subprocess.Popen(command, env={**os.environ, **env}, cwd=cwd, stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not ready():
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(10)


def answers(url: str) -> Callable[[], bool]:
    """Whether a GET of the address succeeds."""

    def check() -> bool:
        try:
            return httpx.get(url, timeout=5).is_success
        except httpx.TransportError:
            return False

    return check
