"""Servers under contract test, and a catalog with principals on each of them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import duckdb_extensions
import httpx
import pytest
import sqlalchemy as sa
from minio import Minio
from pyiceberg.catalog.rest import RestCatalog

from floe_catalog.serve import CatalogConfig, S3Config, start

ALL_ROLES = "PRINCIPAL_ROLE:ALL"

# Read while tests are collected: tests themselves run without FLOE_* variables.
POSTGRES_URL = os.environ.get("FLOE_TEST_POSTGRES_URL", "")
POLARIS = {
    name: os.environ.get(f"FLOE_POLARIS_{name}", "")
    for name in ("URL", "CLIENT_ID", "CLIENT_SECRET", "STORAGE")
}
MINIO = {name: os.environ.get(f"FLOE_TEST_MINIO_{name}", "") for name in ("URL", "ACCESS_KEY", "SECRET_KEY")}


@dataclass(frozen=True)
class Server:
    """A running catalog server: ours or a real Polaris."""

    uri: str
    management_uri: str
    root: tuple[str, str]
    storage: dict[str, Any]
    ours: bool = True

    @property
    def base_location(self) -> str:
        return str(self.storage["allowedLocations"][0]).rstrip("/")

    def token(self, credentials: tuple[str, str], scope: str = ALL_ROLES) -> str:
        client_id, secret = credentials
        answer = self.request_token(client_id=client_id, client_secret=secret, scope=scope)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def request_token(self, **form: str) -> httpx.Response:
        form = {"grant_type": "client_credentials", **form}
        return httpx.post(f"{self.uri}/v1/oauth/tokens", data=form)

    def client(self, credentials: tuple[str, str], scope: str = ALL_ROLES) -> httpx.Client:
        return httpx.Client(headers={"Authorization": f"Bearer {self.token(credentials, scope)}"})


@dataclass
class Lake:
    """A catalog of its own on a server, with root and principals to call it as."""

    server: Server
    name: str
    root: httpx.Client
    credentials: dict[str, tuple[str, str]] = field(default_factory=dict)

    def manage(self, method: str, path: str, body: object = None) -> httpx.Response:
        return self.root.request(method, self.server.management_uri + path, json=body)

    def must(self, method: str, path: str, body: object = None) -> httpx.Response:
        answer = self.manage(method, path, body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def add_catalog(self, name: str, **properties: str) -> httpx.Response:
        base = f"{self.server.base_location}/{name}"
        storage = {**self.server.storage, "allowedLocations": [base]}
        properties = {"default-base-location": base, **properties}
        catalog = {"name": name, "type": "INTERNAL", "properties": properties, "storageConfigInfo": storage}
        return self.manage("POST", "/catalogs", {"catalog": catalog})

    def add_principal(self, *grants: dict[str, Any]) -> str:
        """A principal with one principal role and one catalog role that has these grants."""
        name = f"p{secrets.token_hex(4)}"
        created = self.must("POST", "/principals", {"principal": {"name": name}}).json()["credentials"]
        self.credentials[name] = (created["clientId"], created["clientSecret"])
        self.add_role(name, f"{name}_role", *grants)
        return name

    def add_role(self, principal: str, role: str, *grants: dict[str, Any]) -> None:
        self.must("POST", "/principal-roles", {"principalRole": {"name": role}})
        self.must("PUT", f"/principals/{principal}/principal-roles", {"principalRole": {"name": role}})
        self.must("POST", f"/catalogs/{self.name}/catalog-roles", {"catalogRole": {"name": role}})
        for grant in grants:
            self.grant(role, **grant)
        body = {"catalogRole": {"name": role}}
        self.must("PUT", f"/principal-roles/{role}/catalog-roles/{self.name}", body)

    def grant(self, role: str, **grant: Any) -> None:
        self.must("PUT", f"/catalogs/{self.name}/catalog-roles/{role}/grants", {"grant": grant})

    def revoke(self, role: str, **grant: Any) -> None:
        self.must("POST", f"/catalogs/{self.name}/catalog-roles/{role}/grants", {"grant": grant})

    def path(self, rest: str = "") -> str:
        return f"{self.server.uri}/v1/{self.name}/{rest}"

    def client(self, principal: str, scope: str = ALL_ROLES) -> httpx.Client:
        return self.server.client(self.credentials[principal], scope)

    def pyiceberg(self, principal: str = "writer", **properties: str) -> RestCatalog:
        return RestCatalog(
            self.name,
            **{
                "uri": self.server.uri,
                "oauth2-server-uri": f"{self.server.uri}/v1/oauth/tokens",
                "warehouse": self.name,
                "credential": ":".join(self.credentials[principal]),
                "scope": ALL_ROLES,
                **properties,
            },
        )


@contextlib.contextmanager
def _floe(database_url: str, storage: dict[str, Any], s3: S3Config | None = None) -> Iterator[Server]:
    config = CatalogConfig(database_url, "root", "root-secret", s3=s3)
    with start(config) as running:
        root = (config.root_client_id, config.root_client_secret)
        yield Server(running.uri, running.management_uri, root, storage)


def minio_storage() -> tuple[dict[str, Any], S3Config]:
    """A new bucket in the MinIO given by environment: catalogs' storage and the server's keys."""
    url = urlsplit(MINIO["URL"])
    bucket = f"floe-test-{secrets.token_hex(4)}"
    keys = {"access_key": MINIO["ACCESS_KEY"], "secret_key": MINIO["SECRET_KEY"]}
    Minio(url.netloc, **keys, secure=url.scheme == "https").make_bucket(bucket)
    storage = {
        "storageType": "S3",
        "allowedLocations": [f"s3://{bucket}/lake"],
        "endpoint": MINIO["URL"],
        "stsEndpoint": MINIO["URL"],
        "pathStyleAccess": True,
        "region": "us-east-1",
        "kmsUnavailable": True,
    }
    return storage, S3Config(**keys, credential_seconds=900)


def _polaris() -> Server:
    base = POLARIS["URL"].rstrip("/")
    default = {"storageType": "FILE", "allowedLocations": ["file:///tmp/floe-contract"]}
    storage = json.loads(POLARIS["STORAGE"]) if POLARIS["STORAGE"] else default
    root = (POLARIS["CLIENT_ID"], POLARIS["CLIENT_SECRET"])
    return Server(f"{base}/api/catalog", f"{base}/api/management/v1", root, storage, ours=False)


@contextlib.contextmanager
def postgresql_database(url: str) -> Iterator[str]:
    """A database of its own on the PostgreSQL given by URL."""
    name = f"floe_test_{secrets.token_hex(4)}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield sa.make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        admin.dispose()


DATABASES = ["sqlite", *(["postgresql"] if POSTGRES_URL else [])]


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/catalog.db"
    else:
        with postgresql_database(POSTGRES_URL) as url:
            yield url


SERVERS = [*DATABASES, *(["minio"] if all(MINIO.values()) else []), *(["polaris"] if POLARIS["URL"] else [])]


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each server that the contract is tested against: ours by database and storage, and Polaris."""
    if request.param == "polaris":
        yield _polaris()
        return
    directory = tmp_path_factory.mktemp("catalog")
    url, s3 = f"sqlite:///{directory}/catalog.db", None
    storage: dict[str, Any] = {"storageType": "FILE", "allowedLocations": [f"file://{directory}/warehouse"]}
    with contextlib.ExitStack() as stack:
        if request.param == "postgresql":
            url = stack.enter_context(postgresql_database(POSTGRES_URL))
        if request.param == "minio":
            storage, s3 = minio_storage()
        yield stack.enter_context(_floe(url, storage, s3))


@pytest.fixture(scope="session")
def lake(server: Server) -> Lake:
    """A catalog with a principal `writer` that may do everything in it."""
    lake = Lake(server, f"contract_{secrets.token_hex(4)}", server.client(server.root))
    added = lake.add_catalog(lake.name, **{"polaris.config.drop-with-purge.enabled": "true"})
    assert added.status_code == 201, added.text
    writer = lake.add_principal({"type": "catalog", "privilege": "CATALOG_MANAGE_CONTENT"})
    lake.credentials["writer"] = lake.credentials[writer]
    return lake


@pytest.fixture(scope="session")
def catalog(lake: Lake) -> RestCatalog:
    """pyiceberg as the writer."""
    return lake.pyiceberg()


@pytest.fixture
def namespace(catalog: RestCatalog) -> str:
    """A namespace of the test's own."""
    name = f"n{secrets.token_hex(4)}"
    catalog.create_namespace(name)
    return name


@pytest.fixture(scope="session")
def writer(lake: Lake) -> httpx.Client:
    """Raw HTTP as the writer."""
    return lake.client("writer")


@pytest.fixture(scope="session")
def extension_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DuckDB's extensions, unpacked once."""
    directory = tmp_path_factory.mktemp("extensions")
    with duckdb.connect(config={"extension_directory": str(directory)}) as connection:
        for name in ("httpfs", "avro", "iceberg"):
            duckdb_extensions.import_extension(name, con=connection)
    return directory


@pytest.fixture
def attach(lake: Lake, extension_directory: Path) -> Iterator[Any]:
    """Connects DuckDB to the lake: attach(principal, options) -> connection with `lake` attached."""
    with contextlib.ExitStack() as stack:

        def connect(principal: str = "writer", options: str = "") -> duckdb.DuckDBPyConnection:
            settings = {
                "extension_directory": str(extension_directory),
                "autoinstall_known_extensions": False,
            }
            connection = stack.enter_context(duckdb.connect(config=settings))
            for name in ("httpfs", "avro", "iceberg"):
                connection.load_extension(name)
            client_id, secret = lake.credentials[principal]
            uri = lake.server.uri
            connection.execute(
                f"CREATE SECRET (TYPE iceberg, CLIENT_ID '{client_id}', CLIENT_SECRET '{secret}', "
                f"OAUTH2_SCOPE '{ALL_ROLES}', OAUTH2_SERVER_URI '{uri}/v1/oauth/tokens')"
            )
            connection.execute(f"ATTACH '{lake.name}' AS lake (TYPE iceberg, ENDPOINT '{uri}' {options})")
            return connection

        yield connect
