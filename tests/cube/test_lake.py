"""The driver of cube.js: how soon commits show, outages and losses of the catalog, what is refused."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator

import duckdb
import pytest

from floe_pipeline.lake import engine
from floe_pipeline.lake.bootstrap import bootstrap
from floe_pipeline.settings import load_settings

from .conftest import FRESHNESS_SECONDS, Cube, Shop, plain

pytestmark = pytest.mark.services
HEAL_SECONDS = 120
MEND_SECONDS = 20  # within the timeout of a test that has waited for Cube to heal already
DRIVER = "require('./cube.js').driverFactory()"


def comes_true(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it holds within that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def wait_for(cube: Cube, condition: Callable[[], bool], what: str) -> None:
    """Fail with what Cube said last unless the condition holds within the time to heal."""
    assert comes_true(condition, HEAL_SECONDS), f"{what}: not within {HEAL_SECONDS} s; {cube.state()}"


def newest_order(cube: Cube) -> object:
    """When Cube thinks that the newest order was made; None when it does not answer."""
    answer = cube.post(measures=["Orders.last_ordered_at"])
    return plain(answer.json()["data"][0]["Orders.last_ordered_at"]) if answer.status_code == 200 else None


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
def breakable(shop: Shop, cube: Cube) -> Iterator[Shop]:
    """The lake, to take away: the next test finds it and Cube whole, whatever became of this test."""
    yield shop
    shop.mend()
    if not comes_true(
        lambda: cube.health("/readyz") == 200 and newest_order(cube) is not None, seconds=MEND_SECONDS
    ):
        cube.stop()
        cube.start()


def test_a_commit_shows_even_to_the_first_who_asks(shop: Shop, cube: Cube) -> None:
    before = cube.count_orders()
    shop.add()
    # Nobody asks meanwhile: an answer that is only renewed by asking would still be the old one.
    time.sleep(2 * FRESHNESS_SECONDS + 1)
    assert cube.count_orders() == before + shop.settings.cycle_orders


def test_a_catalog_that_is_down_is_told(cube: Cube, breakable: Shop) -> None:
    breakable.stop()
    wait_for(cube, lambda: cube.health("/readyz") == 500, "Cube says that it is not ready")
    assert cube.health("/") == 200, "the address of the liveness probe needs no catalog"
    orders = {"measures": ["Orders.count"]}
    wait_for(cube, lambda: cube.post(**orders).status_code == 503, "no answer is older than the freshness")
    assert f"127.0.0.1:{breakable.port}" in cube.post(**orders).json()["error"], "it names what failed"


def test_a_mistake_in_a_question_is_the_askers(cube: Cube) -> None:
    filters = [{"member": "Orders.total_amount", "operator": "gt", "values": ["much"]}]
    assert cube.post(measures=["Orders.count"], filters=filters).status_code == 400


def test_heals_when_the_catalog_is_back(cube: Cube, breakable: Shop) -> None:
    orders = cube.count_orders()
    breakable.stop()
    wait_for(cube, lambda: cube.health("/readyz") == 500, "Cube says that it is not ready")
    breakable.start()
    wait_for(cube, lambda: cube.health("/readyz") == 200, "Cube is ready again")
    assert cube.count_orders() == orders


def test_heals_when_the_catalog_was_lost_and_made_again(cube: Cube, breakable: Shop) -> None:
    before = newest_order(cube)
    breakable.lose()
    breakable.start()
    # As in the middle of the bootstrap: asked now, DuckDB concludes that there is no namespace gold.
    breakable.revoke_cube()
    wait_for(cube, lambda: cube.health("/readyz") == 500, "Cube says that it is not ready")
    bootstrap(breakable.settings)
    wait_for(cube, lambda: cube.health("/readyz") == 200, "Cube is ready though there are no tables yet")
    breakable.add()
    expected = plain(breakable.ask("SELECT max(ordered_at) FROM lake.gold.orders")[0][0])
    assert expected != before
    wait_for(
        cube,
        # Both, as in a cluster: what asks /readyz all the time is what makes Cube attach the lake anew.
        lambda: cube.health("/readyz") == 200 and newest_order(cube) == expected,
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
        ("FLOE_TRACES", "on"),
        ("FLOE_OTLP_ENDPOINT", "jaeger:4318"),
    ],
)
def test_a_bad_setting_is_named(cube: Cube, name: str, value: str) -> None:
    refused = run_node(cube, DRIVER, **{name: value})
    assert refused.returncode != 0
    assert f"{name} cannot be used: it must be" in refused.stderr
