"""The driver of cube.js: how soon commits show, outages and losses of the catalog, what is refused."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator

import duckdb
import pytest

from floe_pipeline.lake import engine
from floe_pipeline.settings import load_settings

from .conftest import FRESHNESS_SECONDS, Cube, Shop

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("cube")]
HEAL_SECONDS = 30
DRIVER = "require('./cube.js').driverFactory()"


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + HEAL_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {HEAL_SECONDS} s"
        time.sleep(0.1)


def run_node(cube: Cube, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run JavaScript where Cube runs, with Cube's variables."""
    return subprocess.run(
        [cube.node, "-e", script],
        cwd=cube.folder,
        env=cube.environment | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def outage(shop: Shop, cube: Cube) -> Iterator[None]:
    """A catalog that is down when the test begins and up again for the next test, as Cube knows it."""
    assert cube.health("/readyz") == 200
    shop.stop()
    try:
        yield
    finally:
        shop.start()
        wait_for(lambda: cube.health("/readyz") == 200, "Cube is ready again")


def test_a_commit_shows_even_to_the_first_who_asks(shop: Shop, cube: Cube) -> None:
    before = cube.count_orders()
    shop.add()
    # Nobody asks meanwhile: an answer that is only renewed by asking would still be the old one.
    time.sleep(2 * FRESHNESS_SECONDS + 1)
    assert cube.count_orders() == before + shop.settings.cycle_orders


@pytest.mark.usefixtures("outage")
def test_a_catalog_that_is_down_is_told(cube: Cube, shop: Shop) -> None:
    wait_for(lambda: cube.health("/readyz") == 500, "Cube says that it is not ready")
    assert cube.health("/") == 200, "the address of the liveness probe needs no catalog"
    orders = {"measures": ["Orders.count"]}
    wait_for(lambda: cube.post(**orders).status_code == 503, "no answer is older than the freshness")
    assert f"127.0.0.1:{shop.port}" in cube.post(**orders).json()["error"], "the message names what failed"


def test_a_mistake_in_a_question_is_the_askers(cube: Cube) -> None:
    filters = [{"member": "Orders.total_amount", "operator": "gt", "values": ["much"]}]
    assert cube.post(measures=["Orders.count"], filters=filters).status_code == 400


def test_heals_when_the_catalog_is_back(cube: Cube, shop: Shop) -> None:
    orders = cube.count_orders()
    shop.stop()
    wait_for(lambda: cube.health("/readyz") == 500, "Cube says that it is not ready")
    shop.start()
    wait_for(lambda: cube.health("/readyz") == 200, "Cube is ready again")
    assert cube.count_orders() == orders


def test_heals_when_the_catalog_was_lost_and_made_again(cube: Cube, shop: Shop) -> None:
    assert cube.count_orders() != shop.settings.seed_orders
    shop.lose()
    shop.start()
    wait_for(lambda: cube.health("/readyz") == 200, "Cube is ready though there are no tables yet")
    shop.add()
    wait_for(
        lambda: (
            cube.post(measures=["Orders.count"]).status_code == 200
            and cube.count_orders() == shop.settings.seed_orders
        ),
        "Cube answers from the new tables",
    )


def test_cube_cannot_write_or_see_bronze(cube: Cube, shop: Shop) -> None:
    refused = run_node(cube, f"{DRIVER}.query('DELETE FROM lake.gold.orders')")
    assert refused.returncode != 0
    assert "read-only" in refused.stderr
    # Even an engine that would write is refused by the catalog.
    its_own = load_settings(
        catalog_uri=shop.settings.catalog_uri,
        catalog_client_id=cube.environment["FLOE_CATALOG_CLIENT_ID"],
        catalog_client_secret=cube.environment["FLOE_CATALOG_CLIENT_SECRET"],
    )
    with engine.connect(its_own, read_only=False) as connection:
        assert connection.execute("SELECT count(*) FROM lake.gold.orders").fetchone() != (0,)
        with pytest.raises(duckdb.Error, match=r"403|Forbidden|not authorized"):
            connection.execute("DELETE FROM lake.gold.orders")
        with pytest.raises(duckdb.Error, match=r"403|Forbidden|not authorized|does not exist"):
            connection.execute("SELECT * FROM lake.bronze.orders")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLOE_CATALOG_URI", "polaris:8181"),
        ("FLOE_CATALOG_CLIENT_SECRET", ""),
        ("FLOE_CUBE_FRESHNESS_SECONDS", "0"),
    ],
)
def test_a_bad_setting_is_named(cube: Cube, name: str, value: str) -> None:
    refused = run_node(cube, DRIVER, **{name: value})
    assert refused.returncode != 0
    assert f"{name} cannot be used: it must be" in refused.stderr
