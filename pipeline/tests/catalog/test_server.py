"""What our own server adds to the contract: tokens that end, restarts, several processes."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from catalog_server import KEY, SCHEMA, add_catalog, bearer, config
from floe_catalog.auth import Tokens
from floe_catalog.config import CatalogConfig
from floe_catalog.serve import RunningCatalog, start


class TestTokenLife:
    def test_expired_token_is_refused(self, database_url: str) -> None:
        with start(config(database_url)) as catalog:
            url = f"{catalog.uri}/v1/config?warehouse=nowhere"
            for seconds, status in ((60, 404), (0, 401), (-60, 401)):
                token = Tokens(KEY, seconds).issue(
                    principal_id=1, name="root", client_id="root", scope="PRINCIPAL_ROLE:ALL"
                )["access_token"]
                answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == status, f"token of {seconds} s"

    def test_tokens_outlive_a_restart_without_a_configured_key(self, database_url: str) -> None:
        with start(config(database_url, signing_key=None)) as catalog:
            headers = bearer(catalog.uri)
        with start(config(database_url, signing_key=None)) as catalog:
            assert httpx.get(f"{catalog.management_uri}/catalogs", headers=headers).status_code == 200

    def test_another_signing_key_is_another_world(self, database_url: str) -> None:
        with start(config(database_url)) as catalog:
            headers = bearer(catalog.uri)
        with start(config(database_url, signing_key="other")) as catalog:
            assert httpx.get(f"{catalog.management_uri}/catalogs", headers=headers).status_code == 401

    def test_root_gets_the_credentials_of_the_latest_start(self, database_url: str) -> None:
        with start(config(database_url)) as catalog:
            assert bearer(catalog.uri)
        renewed = CatalogConfig(database_url, "root", "another-secret")
        with start(renewed) as catalog:
            assert bearer(catalog.uri, "another-secret")
            with pytest.raises(httpx.HTTPStatusError):
                bearer(catalog.uri)


class TestServing:
    def test_health(self, database_url: str) -> None:
        with start(config(database_url)) as catalog:
            for path in ("", "/live", "/ready"):
                answer = httpx.get(catalog.health_uri + path)
                assert (answer.status_code, answer.json()["status"]) == (200, "UP")
            engine = sa.create_engine(database_url)
            with engine.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE settings RENAME TO lost")
            engine.dispose()
            assert httpx.get(f"{catalog.health_uri}/ready").status_code == 503
            assert httpx.get(f"{catalog.health_uri}/live").status_code == 200

    def test_answers_do_not_wait_for_delayed_acks(self, database_url: str) -> None:
        with start(config(database_url)) as catalog, httpx.Client(headers=bearer(catalog.uri)) as client:
            seconds = []
            for _ in range(30):
                started = time.perf_counter()
                client.get(f"{catalog.management_uri}/catalogs")
                seconds.append(time.perf_counter() - started)
        assert min(seconds) < 0.03, "each answer waited 40 ms for the client's ACK"

    def test_only_its_realm(self, database_url: str) -> None:
        with start(config(database_url, realm="LAKE")) as catalog:
            headers = bearer(catalog.uri)
            for realm, status in (("LAKE", 200), ("POLARIS", 404)):
                answer = httpx.get(
                    f"{catalog.management_uri}/catalogs", headers={**headers, "Polaris-Realm": realm}
                )
                assert answer.status_code == status

    def test_unknown_path_and_method_are_told_in_the_error_model(self, database_url: str) -> None:
        with start(config(database_url)) as catalog:
            for method, path, status in (("GET", "/v1/nonsense/at/all", 404), ("PATCH", "/v1/config", 405)):
                answer = httpx.request(method, catalog.uri + path)
                assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)

    def test_taken_port_is_named(self, database_url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
                start(config(database_url, port=port))

    def test_database_url_is_named(self) -> None:
        with pytest.raises(ValueError, match=r"database_url 'nonsense'.*expected sqlite:///"):
            start(config("nonsense"))

    def test_two_servers_on_one_database(self, database_url: str, tmp_path: Path) -> None:
        with (
            start(config(database_url)) as one,
            start(config(database_url)) as two,
            httpx.Client(headers=bearer(one.uri)) as client,
        ):
            name = add_catalog(client, one.management_uri, tmp_path)
            path = f"/v1/{name}/namespaces"
            client.post(one.uri + path, json={"namespace": ["n"]}).raise_for_status()
            table = {"name": "t", "schema": SCHEMA}
            client.post(f"{two.uri}{path}/n/tables", json=table).raise_for_status()
            committed = self._add_columns((one, two), client.headers, f"{path}/n/tables/t")
            loaded = [client.get(f"{server.uri}{path}/n/tables/t").json() for server in (one, two)]
        schemas = [table["metadata"]["schemas"] for table in loaded]
        assert schemas[0] == schemas[1]
        columns = [field["name"] for field in max(schemas[0], key=lambda s: s["schema-id"])["fields"]]
        assert sorted(columns) == sorted(["id", *committed])
        assert len(committed) == 12

    @staticmethod
    def _add_columns(servers: tuple[RunningCatalog, ...], headers: Any, path: str) -> list[str]:
        """Four writers, two on each server, add three columns each, retrying on conflict."""

        def add(writer: int) -> list[str]:
            url = servers[writer % 2].uri + path
            added: list[str] = []
            with httpx.Client(headers=headers) as client:
                while len(added) < 3:
                    name = f"w{writer}_{len(added)}"
                    schema = client.get(url).json()["metadata"]
                    current = schema["current-schema-id"]
                    (old,) = (s for s in schema["schemas"] if s["schema-id"] == current)
                    column = {
                        "id": schema["last-column-id"] + 1,
                        "name": name,
                        "type": "long",
                        "required": False,
                    }
                    new = {**old, "schema-id": current + 1, "fields": [*old["fields"], column]}
                    body = {
                        "requirements": [{"type": "assert-current-schema-id", "current-schema-id": current}],
                        "updates": [
                            {"action": "add-schema", "schema": new},
                            {"action": "set-current-schema", "schema-id": -1},
                        ],
                    }
                    answer = client.post(url, json=body)
                    assert answer.status_code in (200, 409), answer.text
                    if answer.status_code == 200:
                        added.append(name)
            return added

        with ThreadPoolExecutor(4) as pool:
            return [name for names in pool.map(add, range(4)) for name in names]

    def test_starting_at_once_on_an_empty_database(self, database_url: str) -> None:
        ready = threading.Barrier(4)

        def serve() -> None:
            ready.wait()
            with start(config(database_url, signing_key=None)) as catalog:
                assert bearer(catalog.uri)

        with ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(serve) for _ in range(4)]:
                future.result()

    def test_lost_database_connections_cost_no_request(self, database_url: str) -> None:
        if not database_url.startswith("postgresql"):
            pytest.skip("SQLite has no connections to lose")
        with start(config(database_url)) as catalog:
            headers = bearer(catalog.uri)
            engine = sa.create_engine(database_url)
            with engine.begin() as connection:
                connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            engine.dispose()
            assert httpx.get(f"{catalog.management_uri}/catalogs", headers=headers).status_code == 200
