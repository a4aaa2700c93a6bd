"""Servers under contract: the real ones where their address is given, else the doubles on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from .cube_server import CubeAddress, environment, lay_out, new_address

IMAGES = Path(__file__).parents[2] / "roles/testbed/files/images"
_START_SECONDS = 60

# The doubles are programs of their images, not installed packages.
for _part in (".", "marquez-double", "marquez-web-double", "polaris-double"):
    sys.path.append(str(IMAGES / _part))


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


@pytest.fixture(scope="session")
def marquez_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str | None]]:
    """Addresses of Marquez' API and of its admin port (None where FLOE_MARQUEZ_ADMIN_URL does not say)."""
    if url := os.environ.get("FLOE_MARQUEZ_URL"):
        yield url.rstrip("/"), os.environ.get("FLOE_MARQUEZ_ADMIN_URL")
        return
    port, admin = free_port(), free_port()
    env = {"MARQUEZ_PORT": str(port), "MARQUEZ_ADMIN_PORT": str(admin), "MARQUEZ_DOUBLE_HOST": "127.0.0.1"}
    with serving(
        [sys.executable, "-m", "marquez_double"],
        env=env,
        cwd=IMAGES / "marquez-double",
        ready=answers(f"http://127.0.0.1:{admin}/healthcheck"),
        log=tmp_path_factory.mktemp("marquez") / "log",
    ):
        yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}"


@pytest.fixture(scope="session")
def marquez_admin(marquez_urls: tuple[str, str | None]) -> str:
    """Address of the admin port."""
    if marquez_urls[1] is None:
        pytest.skip("FLOE_MARQUEZ_ADMIN_URL is not set")
    return marquez_urls[1]


@pytest.fixture
def marquez(marquez_urls: tuple[str, str | None]) -> Iterator[httpx.Client]:
    """A client of Marquez' API."""
    with httpx.Client(base_url=marquez_urls[0], timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CubeAddress]:
    """A Cube that serves the model of these tests."""
    if url := os.environ.get("FLOE_CUBE_URL"):
        secret, sql_url = os.environ["FLOE_CUBE_API_SECRET"], os.environ["FLOE_CUBE_SQL_URL"]
        yield CubeAddress(url.rstrip("/"), secret, sql_url)
        return
    folder = tmp_path_factory.mktemp("cube")
    cache = Path(os.environ.get("FLOE_TESTBED_CACHE", "~/.cache/floe/testbed")).expanduser()
    node = lay_out(folder, cache)
    port, sql_port = free_port(), free_port()
    address = new_address(port, sql_port)
    with serving(
        [str(node), "../node_modules/@cubejs-backend/server/bin/server"],
        env=environment(address, port, sql_port),
        cwd=folder / "conf",
        ready=answers(f"{address.url}/readyz"),
        log=folder / "log",
    ):
        yield address
