"""Servers under contract: the real ones where their address is given, else the doubles on loopback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cube_server import CubeAddress, environment, lay_out, new_address
from loopback_servers import answers, free_port, serving

IMAGES = Path(__file__).parents[2] / "roles/testbed/files/images"


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
