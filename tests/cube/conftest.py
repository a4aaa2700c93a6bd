"""A lake that can go down and be lost, and a Cube with the chart's configuration on it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx
import psycopg2
import pytest

from cube_server import CubeAddress, environment, lay_out, new_address
from floe_pipeline.demo import append_next
from floe_pipeline.embedded import CATALOG_DATABASE, WAREHOUSE, embedded_platform
from floe_pipeline.lake.bootstrap import CUBE, GRANTS, bootstrap
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.engine import connect, extension_directory
from floe_pipeline.lake.management import Management
from floe_pipeline.settings import Settings
from floe_pipeline.transform import runner
from loopback_servers import answers, free_port, serving

from .collector import Collector

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "floe-cube"
FRESHNESS_SECONDS = 1
LINES, LINE = 12, 400  # how much of Cube's log, and of each line, explains a failure
START = datetime(2026, 3, 1, tzinfo=UTC)
SIZES = {"seed_customers": 200, "seed_products": 60, "seed_orders": 1500, "seed": 7}

Row = tuple[Any, ...]


@dataclass
class Shop:
    """An embedded lake at an address that stays the same over its restarts."""

    home: Path
    port: int
    settings: Settings = field(init=False)
    _duckdb: duckdb.DuckDBPyConnection = field(init=False)
    _running: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _until: datetime = START
    _is_up: bool = False
    _has_marts: bool = False

    def start(self) -> None:
        """Let the catalog answer."""
        platform = embedded_platform(self.home, port=self.port, overrides=SIZES)
        self.settings = self._running.enter_context(platform)
        self._duckdb = self._running.enter_context(connect(self.settings))
        self._is_up = True

    def stop(self) -> None:
        """Take the catalog down; the lake stays."""
        self._is_up = False
        self._running.close()

    def lose(self) -> None:
        """Lose all state but the credentials, as a cluster does when its disks are gone."""
        self.stop()
        self._has_marts = False
        runner._disconnect()  # a run in the cluster is a new process, with a connection of its own
        shutil.rmtree(self.home / WAREHOUSE)
        for file in self.home.glob(f"{CATALOG_DATABASE}*"):
            file.unlink()

    def revoke_cube(self) -> None:
        """Take Cube's rights away."""
        with Management.log_in(self.settings) as management:
            grants = f"/catalogs/{self.settings.catalog_name}/catalog-roles/{CUBE}/grants"
            for grant in GRANTS[CUBE]:
                management.send("POST", grants, {"grant": grant})  # POST is how Polaris revokes

    def add(self) -> None:
        """Commit what comes next, the seed or a batch of orders, and bring the marts up to date."""
        lake = Lake.connect(self.settings)
        lake.ensure_tables()
        self._until += timedelta(days=1)
        append_next(lake, self.settings, batch_id=f"until {self._until}", until=self._until)
        runner.build(self.settings, lake=lake)
        self._has_marts = True

    def mend(self) -> None:
        """Give back whatever was taken: the catalog, the rights, the marts."""
        if not self._is_up:
            self.stop()  # what a start that failed left behind
            self.start()
        bootstrap(self.settings)
        if not self._has_marts:
            self.add()

    def ask(self, sql: str) -> list[Row]:
        """Rows from a DuckDB of one's own, which sees every commit at once."""
        return self._duckdb.execute(sql).fetchall()


@dataclass
class Cube:
    """Cube, with the chart's configuration.

    Attributes:
        address: where it is.
        node: program that runs JavaScript as Cube does.
        folder: its working folder, with cube.js and model/.
        environment: its variables.
        log: what it writes.
        last: its last answer to `post` or `health`.
    """

    address: CubeAddress
    node: Path
    folder: Path
    environment: dict[str, str] = field(repr=False)
    log: Path
    last: httpx.Response | None = None
    _running: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        server = serving(
            [str(self.node), "../node_modules/@cubejs-backend/server/bin/server"],
            env=self.environment,
            cwd=self.folder,
            ready=answers(f"{self.address.url}/readyz"),
            log=self.log,
        )
        self._running.enter_context(server)

    def stop(self) -> None:
        """End it."""
        self._running.close()

    def post(self, *, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
        """The answer of the REST API to a query."""
        self.last = httpx.post(
            f"{self.address.url}/cubejs-api/v1/load",
            json={"query": query},
            headers=self.address.headers() | (headers or {}),
            timeout=60,
        )
        return self.last

    def load(self, **query: Any) -> list[dict[str, Any]]:
        """Rows of a query that succeeds."""
        answer = self.post(**query)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["data"]
        return rows

    def graphql(self, document: str, headers: dict[str, str]) -> dict[str, Any]:
        """Data of the GraphQL API."""
        answer = httpx.post(
            f"{self.address.url}/cubejs-api/graphql",
            json={"query": document},
            headers=self.address.headers() | headers,
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def count_orders(self) -> int:
        """What Cube thinks how many orders there are."""
        return int(self.load(measures=["Orders.count"])[0]["Orders.count"])

    def meta(self) -> dict[str, dict[str, Any]]:
        """Cubes and views by name."""
        answer = httpx.get(f"{self.address.url}/cubejs-api/v1/meta", headers=self.address.headers())
        return {each["name"]: each for each in answer.raise_for_status().json()["cubes"]}

    def sql(self, statement: str) -> list[Row]:
        """Rows from the SQL API."""
        connection = psycopg2.connect(self.address.sql_url)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()

    def health(self, path: str) -> int:
        """Status of a health check."""
        self.last = httpx.get(self.address.url + path, timeout=30)
        return self.last.status_code

    def state(self) -> str:
        """Its last answer and the end of its log, to explain a failure."""
        said = f"{self.last.status_code} {self.last.url} {self.last.text}" if self.last else "none"
        lines = [line[:LINE] for line in self.log.read_text().splitlines()[-LINES:]]
        return "\n".join([f"last answer of Cube: {said}", "end of its log:", *lines])


def plain(value: object) -> object:
    """A value of DuckDB, Cube or psycopg2 in one form: Decimal for numbers, UTC text for moments."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}"
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return Decimal(str(value))
    text = str(value)
    try:
        return Decimal(text)
    except ArithmeticError:
        return text


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A seeded lake with its marts."""
    made = Shop(tmp_path_factory.mktemp("lake"), free_port())
    made.start()
    made.add()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """What Cube sends its traces to."""
    made = Collector(free_port())
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def cube(shop: Shop, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cube]:
    """Cube from npm with cube.js and model/ of the chart, on the lake as its read-only principal."""
    if not shutil.which("npm"):
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up("npm is not on PATH, and Cube comes from it: install Node.js 20 or newer with npm")
    folder = tmp_path_factory.mktemp("cube")
    node = lay_out(folder, ROOT / ".cache")
    conf = folder / "lake"
    shutil.copytree(CHART / "model", conf / "model")
    for file in CHART.glob("*.js"):
        shutil.copy(file, conf)
    duckdb_home = folder / "home" / ".duckdb"
    duckdb_home.mkdir(parents=True)
    (duckdb_home / "extensions").symlink_to(extension_directory(shop.settings))
    port, sql_port = free_port(), free_port()
    address = new_address(port, sql_port)
    variables = environment(address, port, sql_port) | {
        "HOME": str(folder / "home"),
        "CUBEJS_DB_DUCKDB_EXTENSIONS": "httpfs,avro,iceberg",
        "FLOE_CATALOG_URI": shop.settings.catalog_uri,
        "FLOE_CATALOG_NAME": shop.settings.catalog_name,
        "FLOE_CATALOG_CLIENT_ID": shop.settings.cube_client_id,
        "FLOE_CATALOG_CLIENT_SECRET": shop.settings.cube_client_secret.get_secret_value(),
        "FLOE_CATALOG_SCOPE": shop.settings.catalog_scope,
        "FLOE_CUBE_FRESHNESS_SECONDS": str(FRESHNESS_SECONDS),
        "FLOE_TRACES": "otlp",
        "FLOE_OTLP_ENDPOINT": collector.url,
        "CUBEJS_LOG_LEVEL": "warn",
    }
    made = Cube(address, node, conf, variables, folder / "log")
    made.start()
    yield made
    made.stop()
