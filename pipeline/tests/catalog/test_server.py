"""What our own server adds to the contract: restarts, several processes, failures, the program."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from floe_catalog.__main__ import config_from_environment
from floe_catalog.app import api_app, build_services
from floe_catalog.auth import Tokens
from floe_catalog.config import CatalogConfig
from floe_catalog.serve import RunningCatalog, start

KEY = "a-signing-key"
WRITER = "PRINCIPAL_ROLE:ALL"
SCHEMA = {"type": "struct", "fields": [{"id": 1, "name": "id", "type": "long", "required": False}]}


def config(database_url: str, **settings: Any) -> CatalogConfig:
    return CatalogConfig(database_url, "root", "root-secret", **{"signing_key": KEY, **settings})


def bearer(uri: str, secret: str = "root-secret") -> dict[str, str]:
    form = {"grant_type": "client_credentials", "client_id": "root", "client_secret": secret, "scope": WRITER}
    answer = httpx.post(f"{uri}/v1/oauth/tokens", data=form)
    answer.raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def add_catalog(client: Any, management: str, directory: Path) -> str:
    """A catalog on local files in which root may do everything, with namespace n; returns its name."""
    name = f"c{secrets.token_hex(4)}"
    base = f"file://{directory}/{name}"
    catalog = {
        "name": name,
        "type": "INTERNAL",
        "properties": {
            "default-base-location": base,
            "polaris.config.drop-with-purge.enabled": "true",
        },
        "storageConfigInfo": {"storageType": "FILE", "allowedLocations": [base]},
    }
    client.post(f"{management}/catalogs", json={"catalog": catalog}).raise_for_status()
    grant = {"type": "catalog", "privilege": "CATALOG_MANAGE_CONTENT"}
    grants = f"{management}/catalogs/{name}/catalog-roles/catalog_admin/grants"
    client.put(grants, json={"grant": grant}).raise_for_status()
    return name


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


class InProcess:
    """The API without a network, its services within reach, and a table n.t."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self.services = build_services(config(database_url))
        self.client = TestClient(api_app(self.services), raise_server_exceptions=False)
        form = {
            "grant_type": "client_credentials",
            "client_id": "root",
            "client_secret": "root-secret",
            "scope": WRITER,
        }
        token = self.client.post("/api/catalog/v1/oauth/tokens", data=form).json()["access_token"]
        self.client.headers["Authorization"] = f"Bearer {token}"
        name = add_catalog(self.client, "/api/management/v1", directory)
        self.namespaces = f"/api/catalog/v1/{name}/namespaces"
        self.client.post(self.namespaces, json={"namespace": ["n"]}).raise_for_status()
        self.table = f"{self.namespaces}/n/tables/t"
        self.client.post(
            f"{self.namespaces}/n/tables", json={"name": "t", "schema": SCHEMA}
        ).raise_for_status()

    @property
    def metadata_directory(self) -> Path:
        location = self.client.get(self.table).json()["metadata-location"]
        return Path(urlsplit(location).path).parent

    def commit(self) -> httpx.Response:
        update = {"action": "set-properties", "updates": {"a": secrets.token_hex(4)}}
        return self.client.post(self.table, json={"requirements": [], "updates": [update]})


@pytest.fixture
def inside(database_url: str, tmp_path: Path) -> Iterator[InProcess]:
    inside = InProcess(database_url, tmp_path)
    yield inside
    inside.services.database.close()


class TestRefusals:
    """Requests that are wrong in themselves: 400 with the field and the value."""

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("pageSize=0", "pageSize '0' must be a positive integer"),
            ("pageSize=many", "pageSize 'many' must be a positive integer"),
            ("pageSize=1&pageToken=%C3%BC", "pageToken 'ü' is not one"),
        ],
    )
    def test_pages(self, inside: InProcess, query: str, expected: str) -> None:
        answer = inside.client.get(f"{inside.namespaces}?{query}")
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith(expected)

    @pytest.mark.parametrize("name", ["", "a/b", "..", "a\x1fb"])
    def test_names_that_could_not_be_addressed(self, inside: InProcess, name: str) -> None:
        for url, body in (
            (inside.namespaces, {"namespace": ["n", name]}),
            (f"{inside.namespaces}/n/tables", {"name": name, "schema": SCHEMA}),
        ):
            answer = inside.client.post(url, json=body)
            assert (answer.status_code, answer.json()["error"]["type"]) == (400, "BadRequestException")
            assert repr(name) in answer.json()["error"]["message"]

    def test_format_version_3(self, inside: InProcess) -> None:
        body = {"name": "v3", "schema": SCHEMA, "properties": {"format-version": "3"}}
        answer = inside.client.post(f"{inside.namespaces}/n/tables", json=body)
        assert (answer.status_code, answer.json()["error"]["message"]) == (
            400,
            "format-version 3 is not supported; use 1 or 2",
        )

    def test_incomplete_create(self, inside: InProcess) -> None:
        body = {"requirements": [{"type": "assert-create"}], "updates": []}
        answer = inside.client.post(f"{inside.namespaces}/n/tables/new", json=body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "BadRequestException")

    def test_bodies(self, inside: InProcess) -> None:
        for content in (b"", b"[1]", b"{"):
            answer = inside.client.post(inside.namespaces, content=content)
            assert (answer.status_code, answer.json()["error"]["type"]) == (400, "BadRequestException")
        answer = inside.client.post(inside.namespaces, json={"namespace": "n"})
        assert answer.json()["error"]["message"] == "Malformed request: namespace must be list, got 'n'"


class TestFailures:
    def test_metadata_file_lost(self, inside: InProcess, database_url: str) -> None:
        shutil.rmtree(inside.metadata_directory)
        with start(config(database_url)) as fresh:  # nothing cached
            headers = bearer(fresh.uri)
            url = fresh.uri + inside.table.removeprefix("/api/catalog")
            answer = httpx.get(url, headers=headers)
            assert (answer.status_code, answer.json()["error"]["type"]) == (404, "NotFoundException")
            assert "Location does not exist: file://" in answer.json()["error"]["message"]
            assert httpx.delete(url, headers=headers).status_code == 204, "so that it can be made anew"

    def test_purge_goes_on_past_lost_files(self, inside: InProcess, caplog: pytest.LogCaptureFixture) -> None:
        location = inside.metadata_directory
        snapshot = {
            "snapshot-id": 1,
            "sequence-number": 1,
            "timestamp-ms": time.time_ns() // 1_000_000,
            "manifest-list": f"file://{location}/lost.avro",
            "summary": {"operation": "append"},
            "schema-id": 0,
        }
        update = {"action": "add-snapshot", "snapshot": snapshot}
        inside.client.post(inside.table, json={"requirements": [], "updates": [update]}).raise_for_status()
        assert inside.client.delete(f"{inside.table}?purgeRequested=true").status_code == 204
        assert list(location.iterdir()) == []
        assert "purge leaves what" in caplog.text

    def test_storage_failure_is_503_and_names_the_storage(self, inside: InProcess) -> None:
        directory = inside.metadata_directory
        shutil.rmtree(directory)
        directory.write_text("in the way")
        answer = inside.commit()
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "ServiceUnavailableException")
        assert f"Storage failed to write file://{directory}" in answer.json()["error"]["message"]

    def test_database_failure_before_the_commit_leaves_nothing(self, inside: InProcess) -> None:
        before = sorted(inside.metadata_directory.iterdir())

        def fail(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("UPDATE tables"):
                raise OperationalError(statement, {}, Exception("gone"))

        sa.event.listen(inside.services.database._engine, "before_cursor_execute", fail)
        answer = inside.commit()
        sa.event.remove(inside.services.database._engine, "before_cursor_execute", fail)
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "ServiceUnavailableException")
        assert sorted(inside.metadata_directory.iterdir()) == before

    def test_database_failure_at_the_commit_itself_is_unknown_and_keeps_the_file(
        self, inside: InProcess
    ) -> None:
        before = set(inside.metadata_directory.iterdir())

        def fail(_connection: Any) -> None:
            raise OperationalError("COMMIT", {}, Exception("gone"))

        sa.event.listen(inside.services.database._engine, "commit", fail)
        answer = inside.commit()
        sa.event.remove(inside.services.database._engine, "commit", fail)
        assert (answer.status_code, answer.json()["error"]["type"]) == (500, "CommitStateUnknownException")
        assert len(set(inside.metadata_directory.iterdir()) - before) == 1

    def test_refused_multi_table_commit_leaves_no_file(self, inside: InProcess) -> None:
        tables = f"{inside.namespaces}/n/tables"
        inside.client.post(tables, json={"name": "u", "schema": SCHEMA}).raise_for_status()
        before = sorted(inside.metadata_directory.iterdir())
        update = {"action": "set-properties", "updates": {"a": "1"}}
        changes = [
            {"identifier": {"namespace": ["n"], "name": name}, "requirements": needs, "updates": [update]}
            for name, needs in (
                ("t", []),
                ("u", [{"type": "assert-current-schema-id", "current-schema-id": 7}]),
            )
        ]
        url = inside.namespaces.replace("/namespaces", "/transactions/commit")
        assert inside.client.post(url, json={"table-changes": changes}).status_code == 409
        assert sorted(inside.metadata_directory.iterdir()) == before

    def test_a_bug_is_told_in_the_error_model(
        self, inside: InProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("floe_catalog.commits.get_table", lambda *_: 1 / 0)
        answer = inside.commit()
        assert answer.status_code == 500
        assert answer.json()["error"] == {
            "message": "ZeroDivisionError: division by zero",
            "type": "ZeroDivisionError",
            "code": 500,
        }


class TestProgram:
    def _run(self, **environment: str) -> subprocess.Popen[str]:
        names = ("PATH", "PYTHONPATH", "HOME")
        inherited = {name: os.environ[name] for name in names if name in os.environ}
        inherited["PYTHONPATH"] = os.pathsep.join(sys.path)
        return subprocess.Popen(
            [sys.executable, "-m", "floe_catalog"],
            env={**inherited, "FLOE_CATALOG_ROOT_CLIENT_SECRET": "root-secret", **environment},
            stderr=subprocess.PIPE,
            text=True,
        )

    def test_serves_until_sigterm(self, database_url: str) -> None:
        program = self._run(
            FLOE_CATALOG_DATABASE_URL=database_url,
            FLOE_CATALOG_HOST="127.0.0.1",
            FLOE_CATALOG_PORT="0",
            FLOE_CATALOG_MANAGEMENT_PORT="0",
        )
        assert program.stderr is not None
        try:
            announced = next(line for line in program.stderr if "serves" in line)
            assert "stand-in for Apache Polaris" in announced
            uri, health = re.findall(r"http://[^\s,]+", announced)
            assert httpx.get(f"{health}/ready").status_code == 200
            with httpx.Client(headers=bearer(uri)) as idle:
                assert idle.get(f"{uri}/v1/config?warehouse=x").status_code == 404
                program.send_signal(signal.SIGTERM)
                assert program.wait(timeout=5) == 0, "an idle connection must not hold it up"
        finally:
            program.kill()
            program.wait()
            program.stderr.close()

    def test_missing_setting_is_one_clear_line(self) -> None:
        program = self._run()
        _, errors = program.communicate(timeout=30)
        assert program.returncode == 2
        assert len(errors.splitlines()) == 1
        assert "FLOE_CATALOG_DATABASE_URL is not set" in errors

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("PORT", "http", "from 0 to 65535"),
            ("TOKEN_SECONDS", "0", "from 1 to 86400"),
            ("S3_CREDENTIAL_SECONDS", "60", "from 900 to"),
        ],
    )
    def test_invalid_settings_name_variable_value_and_range(
        self, name: str, value: str, expected: str
    ) -> None:
        environment = {
            "FLOE_CATALOG_DATABASE_URL": "sqlite://",
            "FLOE_CATALOG_ROOT_CLIENT_SECRET": "s",
            "FLOE_CATALOG_S3_ACCESS_KEY": "a",
            "FLOE_CATALOG_S3_SECRET_KEY": "b",
            f"FLOE_CATALOG_{name}": value,
        }
        with pytest.raises(ValueError, match=f"FLOE_CATALOG_{name}='{value}' must be .* {expected}"):
            config_from_environment(environment)

    def test_secrets_do_not_show_in_the_configuration(self) -> None:
        environment = {
            "FLOE_CATALOG_DATABASE_URL": "sqlite://",
            "FLOE_CATALOG_ROOT_CLIENT_SECRET": "hidden-one",
            "FLOE_CATALOG_S3_ACCESS_KEY": "a",
            "FLOE_CATALOG_S3_SECRET_KEY": "hidden-two",
            "FLOE_CATALOG_SIGNING_KEY": "hidden-three",
        }
        assert "hidden" not in repr(config_from_environment(environment))
