"""Tables without files: dropped when catalog and storage agree on it several times, and never otherwise."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from fake_s3 import FakeS3
from floe_pipeline.lake import lost
from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.lost import drop_lost, find_lost
from floe_pipeline.settings import Settings

WAREHOUSE = "s3://floe-test/lake"
NAMES = ("bronze.orders", "gold.orders")


class FakeCatalog:
    """A catalog whose tables were all written once; `answers` says what it tells when one is loaded."""

    def __init__(self) -> None:
        self.addresses = {
            name: f"{WAREHOUSE}/{name.replace('.', '/')}/metadata/00001.metadata.json" for name in NAMES
        }
        self.answers: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []

    def answer(self, method: str, path: str) -> tuple[int, object]:
        if path.endswith("/tokens"):
            return 200, {"access_token": "t"}
        match path.removeprefix("/v1/floe/namespaces").split("/")[1:]:
            case []:
                return 200, {"namespaces": [["bronze"], ["gold"]]}
            case [namespace, "tables"]:
                names = self._in(namespace)
                return 200, {"identifiers": [{"namespace": [namespace], "name": name} for name in names]}
            case [namespace, "tables", name]:
                return self._table(method, f"{namespace}.{name}")
        raise AssertionError(path)

    def _table(self, method: str, name: str) -> tuple[int, object]:
        self.asked.append(f"{method} {name}")
        if name not in self.addresses:
            return 404, _error("NoSuchTableException", f"Table does not exist: {name}")
        if method == "DELETE":
            del self.addresses[name]
            return 204, ""
        status, kind = self.answers.get(name, (200, ""))
        if status != 200:
            return status, _error(kind, f"Location does not exist: {self.addresses[name]}")
        return 200, {"metadata-location": self.addresses[name], "metadata": {}}

    def _in(self, namespace: str) -> list[str]:
        return [name.partition(".")[2] for name in self.addresses if name.startswith(f"{namespace}.")]


def _error(kind: str, message: str) -> dict[str, object]:
    return {"error": {"type": kind, "message": message}}


@pytest.fixture
def catalog() -> FakeCatalog:
    return FakeCatalog()


@pytest.fixture
def settings(catalog: FakeCatalog, bucket: FakeS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setattr(lost, "PAUSE_SECONDS", 0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = catalog.answer(self.command, urlsplit(self.path).path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode() if body else b"")

        do_POST = do_DELETE = do_GET  # noqa: N815 - named so in http.server

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Settings(
            catalog_uri=f"http://127.0.0.1:{server.server_port}",
            catalog_client_id="pipeline",
            catalog_client_secret="secret",
            warehouse_location=WAREHOUSE,
            s3_endpoint=bucket.endpoint,
            s3_access_key="key",
            s3_secret_key="secret",
        )
        server.shutdown()


@pytest.fixture(autouse=True)
def filled(bucket: FakeS3, catalog: FakeCatalog) -> None:
    bucket.state = "there"
    bucket.objects = {urlsplit(address).path.lstrip("/") for address in catalog.addresses.values()}


def test_tables_with_files_are_not_even_loaded(settings: Settings, catalog: FakeCatalog) -> None:
    assert find_lost(settings) == set()
    assert catalog.asked == []


@pytest.mark.parametrize(
    "told",
    [
        pytest.param((404, "NotFoundException"), id="catalog misses the metadata"),
        pytest.param((400, "NotFoundException"), id="catalog passes the storage's error on"),
        pytest.param((200, ""), id="catalog still remembers the metadata"),
    ],
)
def test_what_lost_all_its_files_is_dropped_and_nothing_else(
    settings: Settings, catalog: FakeCatalog, bucket: FakeS3, told: tuple[int, str]
) -> None:
    address = catalog.addresses["bronze.orders"]
    bucket.objects = {key for key in bucket.objects if "/gold/" in key}
    catalog.answers["bronze.orders"] = told
    assert [str(table) for table in drop_lost(settings)] == [f"bronze.orders ({address})"]
    assert list(catalog.addresses) == ["gold.orders"]
    assert drop_lost(settings) == []


@pytest.mark.parametrize("state", ["absent", "forbidden", "down"])
def test_a_storage_that_says_nothing_costs_no_table(
    settings: Settings, catalog: FakeCatalog, bucket: FakeS3, state: str
) -> None:
    bucket.objects, bucket.state = set(), state
    catalog.answers = dict.fromkeys(NAMES, (404, "NotFoundException"))
    with pytest.raises(LakeError, match="bucket 'floe-test' at FLOE_S3_ENDPOINT="):
        drop_lost(settings)
    assert list(catalog.addresses) == list(NAMES)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, "ForbiddenException"), (404, "FileIOUnknownHostException"), (503, "ServiceUnavailableException")],
)
def test_a_catalog_that_says_nothing_costs_no_table(
    settings: Settings, catalog: FakeCatalog, bucket: FakeS3, status: int, kind: str
) -> None:
    bucket.objects = set()
    catalog.answers = dict.fromkeys(NAMES, (status, kind))
    if status == 404:
        assert drop_lost(settings) == []
    else:
        with pytest.raises(LakeError, match=f"{status}: .*{kind}"):
            drop_lost(settings)
    assert list(catalog.addresses) == list(NAMES)


def test_a_table_with_any_file_left_is_for_a_person(
    settings: Settings, catalog: FakeCatalog, bucket: FakeS3
) -> None:
    bucket.objects = {f"lake/{name.replace('.', '/')}/data/00000.parquet" for name in NAMES}
    catalog.answers = dict.fromkeys(NAMES, (404, "NotFoundException"))
    assert drop_lost(settings) == []


def test_a_listing_that_lags_costs_no_table(settings: Settings, bucket: FakeS3) -> None:
    bucket.objects, bucket.unlisted = set(), bucket.objects
    assert drop_lost(settings) == []


def test_a_table_that_lives_elsewhere_is_left_alone(
    settings: Settings, catalog: FakeCatalog, bucket: FakeS3
) -> None:
    catalog.addresses["bronze.mine"] = "s3://another-bucket/mine/metadata/00001.metadata.json"
    assert drop_lost(settings) == []
    assert "bronze.mine" in catalog.addresses


def _files_come_back(catalog: FakeCatalog, bucket: FakeS3) -> None:
    bucket.objects = {urlsplit(address).path.lstrip("/") for address in catalog.addresses.values()}


def _made_again(catalog: FakeCatalog, bucket: FakeS3) -> None:
    catalog.addresses = {
        name: address.replace("00001", "0000a") for name, address in catalog.addresses.items()
    }


@pytest.mark.parametrize("meanwhile", [_files_come_back, _made_again])
def test_what_changes_between_two_looks_is_not_dropped(
    settings: Settings,
    catalog: FakeCatalog,
    bucket: FakeS3,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Callable[[FakeCatalog, FakeS3], None],
) -> None:
    bucket.objects = set()
    monkeypatch.setattr(
        lost.time, "sleep", lambda _: meanwhile(catalog, bucket) if len(catalog.asked) < 3 else None
    )
    assert drop_lost(settings) == []
    assert len(catalog.addresses) == len(NAMES)


def test_wrong_credentials_are_said(
    settings: Settings, catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "answer", lambda *_: (401, _error("unauthorized_client", "no")))
    with pytest.raises(LakeError, match=r"refused client 'pipeline' \(401\)"):
        find_lost(settings)
    nowhere = settings.model_copy(update={"catalog_uri": "http://127.0.0.1:9"})
    with pytest.raises(LakeError, match="does not answer: is the catalog running"):
        find_lost(nowhere)
