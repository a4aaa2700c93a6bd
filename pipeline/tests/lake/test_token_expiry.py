"""Access tokens that expire in mid-session: pyiceberg and DuckDB log in again, and nobody notices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from floe_catalog.serve import CatalogConfig, start
from floe_pipeline.lake.bootstrap import bootstrap
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.settings import Settings
from lake_writers import append_cycle, append_seed

TOKEN_SECONDS = 2


@pytest.fixture
def lake(tmp_path: Path, make_settings: Callable[..., Settings]) -> Iterator[Lake]:
    """A lake whose catalog's tokens live for two seconds, with a first batch in it."""
    settings = make_settings()
    config = CatalogConfig(
        database_url=f"sqlite:///{tmp_path / 'catalog.db'}",
        root_client_id=settings.root_client_id,
        root_client_secret=settings.root_client_secret.get_secret_value(),
        token_seconds=TOKEN_SECONDS,
    )
    with start(config) as server:
        here = {"catalog_uri": server.uri, "catalog_management_uri": server.management_uri}
        settings = settings.model_copy(update=here)
        bootstrap(settings)
        connected = Lake.connect(settings)
        connected.ensure_tables()
        append_seed(connected)
        yield connected


def test_an_expired_token_is_renewed_by_pyiceberg_and_by_duckdb(lake: Lake) -> None:
    count = "SELECT count(*) FROM lake.bronze.orders"
    with lake.duckdb_connect() as connection:
        assert connection.execute(count).fetchall() == [(200,)]
        for number in (1, 2):
            time.sleep(TOKEN_SECONDS + 0.5)  # nothing but time makes a token old
            assert append_cycle(lake, number).rows["orders"] == 20
            assert connection.execute(count).fetchall() == [(200 + 20 * number,)]
