"""Fixtures that every folder of tests shares: one embedded catalog server, and lakes of one's own in it."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from floe_catalog.serve import CatalogConfig, RunningCatalog, start
from floe_pipeline.lake.bootstrap import bootstrap
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.settings import Settings, load_settings

ROOT_ID, ROOT_SECRET = "root", "root-secret"
PIPELINE_ID, PIPELINE_SECRET = "pipeline-id", "pipeline-secret-0123456789"
CUBE_ID, CUBE_SECRET = "cube-id", "cube-secret-0123456789"

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow modules: what is left for the end is small, so all workers end together."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True, scope="session")
def _no_settings_of_the_caller() -> Iterator[None]:
    """Tests see no FLOE_* variable of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("FLOE_")]:
            if not name.startswith("FLOE_POLARIS_"):  # a real server to run contract tests against
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True, scope="session")
def _programs_hear_ctrl_c() -> None:
    """Whoever runs the tests in the background ignores Ctrl-C, and so would every program started here."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def catalog_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCatalog]:
    """An embedded catalog server on a free port, for the whole session."""
    database = tmp_path_factory.mktemp("catalog") / "catalog.db"
    config = CatalogConfig(
        database_url=f"sqlite:///{database}", root_client_id=ROOT_ID, root_client_secret=ROOT_SECRET
    )
    with start(config) as server:
        yield server


@pytest.fixture(scope="session")
def duckdb_extensions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder for DuckDB's extensions, shared by the session: installing them takes a second."""
    return tmp_path_factory.getbasetemp().parent / "duckdb-extensions"


@pytest.fixture(scope="session")
def make_settings(
    catalog_server: RunningCatalog, tmp_path_factory: pytest.TempPathFactory, duckdb_extensions: Path
) -> Callable[..., Settings]:
    """Settings for a lake that does not exist yet: a catalog name and a warehouse nobody else has."""

    def make(**overrides: object) -> Settings:
        number = next(_numbers)
        warehouse = tmp_path_factory.mktemp(f"warehouse{number}")
        values: dict[str, object] = {
            "catalog_uri": catalog_server.uri,
            "catalog_management_uri": catalog_server.management_uri,
            "catalog_name": f"floe{number}",
            "catalog_client_id": PIPELINE_ID,
            "catalog_client_secret": PIPELINE_SECRET,
            "root_client_id": ROOT_ID,
            "root_client_secret": ROOT_SECRET,
            "cube_client_id": CUBE_ID,
            "cube_client_secret": CUBE_SECRET,
            "warehouse_location": f"file://{warehouse}",
            "duckdb_extension_directory": duckdb_extensions,
            "traces_file": warehouse / "traces.jsonl",
            "lineage_file": warehouse / "lineage.jsonl",
        }
        return load_settings(**(values | overrides))

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    """Settings of a lake of the test's own, bootstrapped, still without tables."""
    made = make_settings()
    bootstrap(made)
    return made


@pytest.fixture
def lake(settings: Settings) -> Lake:
    """A lake of the test's own with empty bronze tables."""
    connected = Lake.connect(settings)
    connected.ensure_tables()
    return connected


@pytest.fixture(scope="module")
def module_settings(make_settings: Callable[..., Settings]) -> Settings:
    """Like `settings`, shared by the tests of a module."""
    made = make_settings()
    bootstrap(made)
    return made


@pytest.fixture(scope="module")
def module_lake(module_settings: Settings) -> Lake:
    """Like `lake`, shared by the tests of a module."""
    connected = Lake.connect(module_settings)
    connected.ensure_tables()
    return connected
